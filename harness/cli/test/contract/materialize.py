"""replay --materialize: the files of a state in a folder, as SQLite's own shell finds them."""
import filecmp
import os
import re
import shutil
import stat
import subprocess

from depth import UNSYNCED
from scenarios import LOSES, build_library
from workers import DIES, EXTENSION


# A rollback journal that was not synced: torn pages, and a journal that rolls back.
TORN = '-- @scenario no syncs\n-- @pragma journal_mode=delete synchronous=off page_size=512\n' \
    '-- @expect corrupt\n-- @setup\nCREATE TABLE t(x);\n' \
    'INSERT INTO t VALUES (zeroblob(6000));\n-- @client a\nUPDATE t SET x = zeroblob(7000);\n'
# A commit is lost because the journal is back, hot.
JOURNAL = '-- @scenario a journal\n-- @pragma journal_mode=delete synchronous=full\n' \
    '-- @setup\nCREATE TABLE t(x);\nINSERT INTO t VALUES (1);\n' \
    '-- @client a\nBEGIN;\nUPDATE t SET x = x + 10;\nINSERT INTO t VALUES (zeroblob(9000));\nCOMMIT;\n'
# The processes die in the middle of a write.
CUT = '-- @scenario a write that was cut\n-- @pragma journal_mode=off page_size=16384\n' \
    '-- @models process-crash\n-- @setup\nCREATE TABLE t(x);\nINSERT INTO t VALUES (zeroblob(9000));\n' \
    '-- @client a\nUPDATE t SET x = zeroblob(9001);\n'
# Without working syncs, a journal that names its super-journal is left.
SUPER = '-- @scenario two databases\n-- @pragma journal_mode=delete synchronous=full\n' \
    '-- @attach side side.db\n-- @setup\nCREATE TABLE t(x);\nCREATE TABLE side.s(y);\n' \
    'INSERT INTO side.s VALUES (1);\nINSERT INTO t VALUES (1);\n' \
    '-- @client a\nBEGIN;\nUPDATE side.s SET y = 2;\nUPDATE t SET x = x + 10;\nCOMMIT;\n'


def shell(folder, database, command):
    """What the sqlite3 shell prints about a copy of the folder."""
    copy = folder + '.look'
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    ran = subprocess.run(['sqlite3', os.path.join(copy, database.lstrip('/')), command],
                         capture_output=True, text=True, check=False, timeout=60)
    shutil.rmtree(copy)
    return ran.returncode, ran.stdout, re.sub(r'^Error.*?:', '', ran.stderr)


def cases(t, text, *args, oracle=None):
    """A folder in which the scenario ran, and the tokens of its findings, the worst first."""
    folder = t.scenario(text)
    ran = t.run('run', 'f.sql', '--json', '-', *args, cwd=folder)
    return folder, [v['token'] for v in ran.case().get('violations', [])
                    if oracle in (None, v['oracle'])]


def laid(t, what, folder, token, *args, code=1):
    ran = t.run('replay', token, '--materialize', 'm', *args, cwd=folder)
    t.code(what, ran, code)
    with open(os.path.join(folder, 'm', 'README.txt'), encoding='utf-8') as f:
        return ran, os.path.join(folder, 'm'), f.read()


def is_same_tree(a, b):
    seen = filecmp.dircmp(a, b)
    return not (seen.left_only or seen.right_only or seen.diff_files or seen.funny_files) and \
        all(is_same_tree(os.path.join(a, d), os.path.join(b, d)) for d in seen.common_dirs)


def check_shell(t):
    """The sqlite3 shell finds in before/ what recovery made of it, in after/, sound or not."""
    seen = set()
    for what, text in (('a log', LOSES), ('a journal', JOURNAL), ('torn pages', TORN),
                       ('a cut write', CUT)):
        folder, tokens = cases(t, text)
        for token in tokens:
            shutil.rmtree(os.path.join(folder, 'm'), ignore_errors=True)
            ran, m, note = laid(t, f'--materialize: {what}', folder, token)
            for command in ('PRAGMA integrity_check', '.dump'):
                before, after = (shell(os.path.join(m, s), '/db/main.db', command)
                                 for s in ('before', 'after'))
                t.same(f'{what}: the shell finds in before/ what is in after/: {command}', ran,
                       after, before)
                if 'integrity' in command:
                    seen.add((what, before[1].strip() == 'ok'))
            t.same(f'{what}: expected/ is sound', ran, 'ok',
                   shell(os.path.join(m, 'expected'), '/db/main.db',
                         'PRAGMA integrity_check')[1].strip())
            dumps = [shell(os.path.join(m, d), '/db/main.db', '.dump')[1] for d in ('expected', 'after')]
            if 'which was cut after' in note:
                seen.add((what, 'cut'))
            t.check(what in ('torn pages', 'a cut write') or len(dumps[0]) > len(dumps[1]),
                    f'{what}: expected/ has what is lost in after/', ran, 'more rows', dumps)
            names = os.listdir(os.path.join(m, 'before', 'db'))
            seen |= {(what, n) for n in names}
            if not filecmp.cmp(os.path.join(m, 'before/db/main.db'),
                               os.path.join(m, 'after/db/main.db'), shallow=False):
                seen.add((what, 'rolled back'))
            if os.path.getsize(os.path.join(m, 'before/db/main.db')) > \
                    os.path.getsize(os.path.join(m, 'after/db/main.db')):
                seen.add((what, 'longer before'))
            for name in names:
                t.has(f'{what}: README.txt names {name}', ran, f'db/{name}', note)
            t.has(f'{what}: README.txt says how to replay', ran, f'plugpull replay {token}', note)
    t.check({('a log', 'main.db-wal'), ('a journal', 'main.db-journal'),
             ('a journal', 'rolled back'), ('a journal', 'longer before'), ('torn pages', False), ('a cut write', 'cut')} <= seen,
            'there were a log, a hot journal, and a damaged database', None, 'all three', seen)


def check_folder(t):
    folder, tokens = cases(t, LOSES)
    plain = t.run('replay', tokens[0], cwd=folder)
    ran, m, note = laid(t, '--materialize', folder, tokens[0])
    t.same('--materialize prints what replay does, and where the files are', ran,
           (f'{plain.out}files         m/README.txt says what to look at\n', plain.err),
           (ran.out, ran.err))
    modes = {stat.S_IMODE(os.stat(os.path.join(d, n)).st_mode)
             for d, folders, names in os.walk(m) for n in folders + names}
    t.same('--materialize: folders 0700, files 0600', ran, ({0o700, 0o600}, 0o700),
           (modes, stat.S_IMODE(os.stat(m).st_mode)))
    other, tokens2 = cases(t, LOSES)
    t.same('--materialize: elsewhere the same bytes', ran, (tokens, True),
           (tokens2, is_same_tree(m, laid(t, 'again', other, tokens[0])[1])))
    t.check(folder not in note and t.root not in note and os.uname().nodename not in note,
            'README.txt names no path of this machine', ran, 'none', note)
    t.same('--materialize: nothing is left beside it', ran, ['.plugpull', 'f.sql', 'm'],
           sorted(os.listdir(folder)))
    t.code('the case in the folder replays', t.run(
        'replay', tokens[0] + '.ppcase', cwd=m), 1)
    os.mkdir(os.path.join(folder, 'empty'))
    t.write(folder, 'file', 'x')
    os.symlink('empty', os.path.join(folder, 'link'))
    for name, good in (('empty/', True), ('m', False), ('file', False), ('no/m', False),
                       ('link', False), ('', False)):
        ran = t.run('replay', tokens[0], '--materialize', name, cwd=folder)
        if good:
            t.code(f'--materialize {name}', ran, 1)
        else:
            t.refused(f'--materialize {name}', ran, '--materialize')
    t.same('--materialize: an empty folder is filled', ran, True,
           is_same_tree(m, os.path.join(folder, 'empty')))


def check_kinds(t):
    """Two crashes; a process that dies; a command of --check; journals that name each other."""
    # What the first recovery never touched is there, too.
    text = UNSYNCED.replace('-- @setup\n', '-- @attach side side.db\n-- @setup\n'
                            'CREATE TABLE side.s(y);\n')
    folder, tokens = cases(t, text, '--depth', '2')
    ran, m, note = laid(t, 'two crashes', folder, tokens[0])
    t.check('second crash' in note and 'of the recovery' in note, 'two crashes: README.txt', ran,
            'both crashes', note)
    for name in ('main.db', 'side.db'):
        t.same(f'two crashes: the shell finds in before/ what is in after/: {name}', ran,
               shell(os.path.join(m, 'after'), '/db/' + name, '.dump'),
               shell(os.path.join(m, 'before'), '/db/' + name, '.dump'))
        t.check(os.path.exists(os.path.join(m, 'before/db', name)), f'two crashes: {name}', ran,
                'it is there', os.listdir(os.path.join(m, 'before/db')))

    folder, tokens = cases(t, DIES % (build_library(t, EXTENSION), 'segv'), oracle='recovery')
    ran, m, note = laid(t, 'a process that dies', folder, tokens[0])
    t.same('a process that dies: before/, and no after/', ran,
           (True, False, True), (os.path.exists(os.path.join(m, 'before/db/main.db')),
                                 os.path.exists(os.path.join(m, 'after')),
                                 'There is no after/' in note))
    counts = [shell(os.path.join(m, 'before'), '/db/main.db', f'SELECT count(*) FROM {n}')[1]
              for n in 'tu']
    t.check(counts[0] != counts[1], 'a process that dies: before/ is what it died of', ran,
            'a torn transaction', counts)

    folder, tokens = cases(t, SUPER, '--model', 'apfs-no-fullfsync')
    notes = []
    for token in tokens:
        shutil.rmtree(os.path.join(folder, 'm'), ignore_errors=True)
        ran, m, note = laid(t, 'two databases', folder, token)
        notes.append(note)
        t.same('two databases: both are there', ran, ['main.db', 'side.db'],
               [n for n in sorted(os.listdir(os.path.join(m, 'before', 'db')))
                if n.endswith('.db')])
    t.check(any('super-journal /db/main.db-mj' in n for n in notes),
            'two databases: README.txt says where the journal will not be found', ran,
            'a super-journal', notes)


def check_command(t):
    """A case of --check has the files that the command saw; odd names lie somewhere else."""
    folder = t.folder()
    long = 'n' * 230
    t.write(folder, 'p.py', 'import os, sqlite3, sys\n'
            'db = sqlite3.connect("a.db")\ndb.execute("CREATE TABLE t(x)")\n'
            'open("odd\\nname", "w").write("1")\nopen("' + long + '", "w").write("2")\n'
            'open("both", "w").write("3")\nos.remove("both")\nos.mkdir("both")\n'
            'open("both/in", "w").write("4")\n'
            'db.execute("INSERT INTO t VALUES (1)")\ndb.commit()\n')
    ran = t.run('test', '--json', '-', '--check', 'grep -q 4 both/in', '--', 'python3', 'p.py',
                cwd=folder)
    tokens = [v['token'] for v in ran.case()['violations'] if v['oracle'] == 'check']
    t.check(tokens, '--check objects', ran, 'a finding', ran.out)
    other = t.folder()
    shutil.copy(os.path.join(folder, 'p.py'), other)
    t.code('--check: a file in whose place there is a folder now', t.run(
        'test', '--check', 'true', '--', 'python3', 'p.py', cwd=other), 0)
    ran, m, note = laid(t, 'a case of --check', folder, tokens[0])
    t.same('a case of --check: no after/', ran, (['before', 'expected'], True), (
        sorted(n for n in os.listdir(m) if os.path.isdir(os.path.join(m, n))),
        'There is no after/' in note))
    below = [os.path.join(d, n) for d, _, names in os.walk(m) for n in names]
    odd = [p for p in below if 'plugpull-file-' in p]
    t.check(all('\n' not in p and long not in p for p in below) and odd,
            'odd names get a number', ran, 'plugpull-file-N', below)
    t.check(re.search(r'plugpull-file-\d+  \(in the trace: .*odd name\)', note),
            'README.txt says which', ran, 'odd name', note)


def check(t):
    t.part(check_shell)
    t.part(check_folder)
    t.part(check_kinds)
    t.part(check_command)
