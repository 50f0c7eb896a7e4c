"""`explain` claims no more than is so: each check is a sentence that a sceptic found to be false."""
import os
import pty
import re
import signal
import subprocess

import files
from explain import ORDERS, ops_of, tell
from materialize import cases
from scenarios import LOSES

SCENARIOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), *(['..'] * 4), 'scenarios')
# The program itself breaks its invariant, and WAL at NORMAL loses commits.
HIDES = '-- @scenario two bugs at once\n-- @pragma journal_mode=wal synchronous=normal\n' \
    '-- @require consistent\n-- @setup\nCREATE TABLE t(id INTEGER PRIMARY KEY, v);\n' \
    'INSERT INTO t VALUES (1, 5),(2, 5);\n-- @client a\nUPDATE t SET v = v-1 WHERE id=1;\n' \
    'UPDATE t SET v = v+1 WHERE id=2;\n-- @invariant "balanced"\n' \
    'SELECT 1 WHERE (SELECT sum(v) FROM t) <> 10;\n'
# Each transaction has a journal of its own under one name.
JOURNALS = '-- @scenario a new database\n-- @pragma journal_mode=delete synchronous=off ' \
    'page_size=4096 auto_vacuum=full\n-- @client a\nCREATE TABLE t(id INTEGER PRIMARY KEY, v);\n' \
    'INSERT INTO t VALUES (1, zeroblob(30000));\nDELETE FROM t;\n'
# The database may be empty when its journal is there.
EMPTY = '-- @scenario a new database\n-- @pragma journal_mode=delete synchronous=off\n-- @client a\n' \
    'CREATE TABLE t(id INTEGER PRIMARY KEY, v);\nINSERT INTO t VALUES(1,2);\n'
# The first row that is lost is older than the states that are kept.
LATE = '-- @scenario late tear\n-- @pragma journal_mode=off synchronous=off\n-- @setup\n' \
    'CREATE TABLE t(id INTEGER PRIMARY KEY, v);\n' \
    "INSERT INTO t VALUES (1, printf('%03000d',0)),(2, printf('%03000d',0));\n-- @client a\n" + \
    ''.join(f"UPDATE t SET v = printf('%03000d',{n}) WHERE id = 1;\n" for n in range(1, 19)) + \
    "UPDATE t SET v = printf('%03000d',99) WHERE id = 2;\n"


def own(t, path, *args, oracle=None):
    """The tokens of one of the project's scenarios."""
    folder = t.folder()
    ran = t.run('run', os.path.join(SCENARIOS, path), '--json', '-', *args, cwd=folder)
    return folder, [v['token'] for c in ran.json()['cases'] for v in c.get('violations', [])
                    if oracle in (None, v['oracle'])]


def rewritten(folder, token, name, change):
    """The case file with other content, under a name of its own."""
    with open(os.path.join(folder, '.plugpull', 'cases', token + '.ppcase'), 'rb') as f:
        content, trace = files.split_case(f.read())
    change(content)
    with open(os.path.join(folder, name), 'wb') as f:
        f.write(files.join_case(content, trace))


def check_hidden(t):
    """Something else that is as bad is not the finding again, and hides whether a change helps."""
    folder, tokens = cases(t, HIDES, oracle='history')
    ran, story = tell(t, folder, tokens[0])
    t.has('another finding hides it', ran, 'synchronous=full (something else hides whether it '
          'helps: invariant finds corrupt states)', story['fixes_words'])
    t.check('there again' not in story['fixes_words'], '... and is not the finding again', ran,
            'not again', story['fixes_words'])
    t.same('... nor is it known what the sync does', ran, {None},
           {m['matters'] for m in story['missing']})
    folder, tokens = cases(t, HIDES, oracle='invariant')
    ran, story = tell(t, folder, tokens[0])
    t.has('the same oracle is the finding again', ran, 'synchronous=full (the finding is there '
          'again)', story['fixes_words'])
    t.same('... and the syncs do not matter', ran, {False}, {m['matters'] for m in story['missing']})


def check_places(t):
    """Syncs that help only together are not each said to help, and later ones are not missing."""
    mode = ('--set', 'journal_mode=delete', '--set', 'synchronous=normal', '--model', 'strict-posix')
    folder, tokens = own(t, 'models/modes.sql', *mode, oracle='history')
    ran, story = tell(t, folder, tokens[0], '--budget', '5000r')
    t.check(len({m['rule'] for m in story['missing']}) > 1, 'syncs of several rules', ran, 2,
            [m['rule'] for m in story['missing']])
    t.same('none of which matters by itself', ran, (False, {True}),
           (True in [m['matters'] for m in story['missing']],
            {m['together'] for m in story['missing']}))
    ran = t.run('explain', tokens[0], '--budget', '5000r', cwd=folder)
    t.has('... and the terminal says so', ran, 'only together', ran.out)
    ran, story = tell(t, folder, tokens[0], '--budget', '1r')
    t.same('what was not tried is not known', ran, ({None}, {False}),
           ({m['matters'] for m in story['missing']}, {m['together'] for m in story['missing']}))
    folder, tokens = own(t, 'rollback-journal.sql', *mode, oracle='recovery')
    ran, story = tell(t, folder, tokens[0], '--budget', '1r')
    t.check(story['missing'] and all(m['after'] <= story['crash'] for m in story['missing']),
            'what comes after the crash is not missing for it', ran, story['crash'],
            [m['after'] for m in story['missing']])


def check_exit(t):
    """A fix whose command ends with 1 all the same says so, and why."""
    folder, tokens = cases(t, ORDERS.replace('-- @setup', '-- @expect consistent\n-- @setup'))
    ran, story = tell(t, folder, tokens[0])
    fix = story['fixes'][0]
    t.has('what the scenario expects', ran, 'expects consistent (@expect)', fix['proof'])
    t.code('... and so it ends', t.run(*fix['command'].split(' ')[1:], cwd=folder), 1)


def check_journal(t):
    """The journal that recovery found is named by its file, not by its name."""
    folder, tokens = cases(t, JOURNALS, oracle='history')
    told = [tell(t, folder, token, '--budget', '1r') for token in tokens]
    seen = 0
    for ran, story in told:
        lost = [o['position'] for o in story['ops']
                if o['fate'] == 'lost' and o['kind'] == 'unlink']
        named = re.search(r'the deletion of main.db-journal \(operation (\d+)\)', story['verdict'])
        if named is None or len(lost) < 2:
            continue
        seen += 1
        made = [o['position'] for o in story['ops'] if o['kind'] == 'create' and
                o['words'].endswith('main.db-journal') and o['fate'] in ('kept', 'durable')]
        after = min((p for p in lost if not made or p > max(made)), default=0)
        t.same('the deletion of the journal that is there', ran, after, int(named.group(1)))
    t.check(seen > 0, 'a case with several lost deletions', told[0][0], 'one', seen)


def check_header(t):
    """What ended a journal is no header that was lost; one never made valid is not one that ended."""
    folder, tokens = own(t, 'rollback-journal.sql', '--model', 'strict-posix', '--set',
                         'journal_mode=persist', '--set', 'synchronous=off')
    ran, story = tell(t, folder, tokens[0], '--budget', '1r')
    said = [r for r in story['recovery'] if r.startswith('main.db-journal is there')]
    by = re.search(r'zeroed \(operation (\d+)\)', ' '.join(said))
    t.check(by is not None, 'PERSIST: the header is zeroed', ran, 'zeroed', said)
    zeroed = [o for o in story['ops'] if by is not None and o['position'] == int(by.group(1))]
    t.same('... by a write that is on the disk', ran, [(0, 28, True)],
           [(o['offset'], o['size'], o['fate'] in ('kept', 'durable')) for o in zeroed])
    folder, tokens = own(t, 'controls/plant-journal-stays.sql')
    ran, story = tell(t, folder, tokens[0], '--budget', '1r')
    t.has('a header without magic was never made valid', ran, 'never made valid',
          ' '.join(story['recovery']))
    folder, tokens = own(t, 'models/persist-normal-in-place.sql', '--model', 'ext4-ordered')
    ran, story = tell(t, folder, tokens[0], '--budget', '1r')
    torn = [o['words'] for o in story['ops'] if o['fate'] in ('torn', 'lost') and
            'as it was' in o['words']]
    number = re.search(r'record (\d+)', torn[0]).group(1)
    t.has('a torn record whose checksum holds', ran, f'record {number} of main.db-journal is '
          'damaged, and its checksum, which samples', ' '.join(story['recovery']))


def check_empty(t):
    """A journal beside a database without a page is deleted, not rolled back."""
    folder, tokens = cases(t, EMPTY, oracle='history')
    ran, story = tell(t, folder, tokens[0], '--budget', '1r')
    said = ' '.join(story['recovery'])
    t.has('what SQLite did', ran, 'deleted main.db-journal', said)
    t.has('... is said', ran, 'without a page: SQLite deletes such a journal', said)
    t.check('hot' not in said, '... and it is not hot', ran, 'not hot', said)


def check_damage(t):
    """What a torn write damaged beside it is neither durable nor kept."""
    folder, tokens = own(t, 'models/legacy-512-nopsow-loses.sql')
    ran, story = tell(t, folder, tokens[0], '--budget', '1r')
    hurt = [o for o in story['ops'] if o['fate'] == 'damaged']
    t.check(any(o['synced_by'] for o in hurt), 'something that had been durable is damaged', ran,
            'damaged', ops_of(story, 'damaged'))
    torn = {o['position'] for o in story['ops'] if o['fate'] == 'torn'}
    t.check(hurt and all(o['damaged_by'] in torn for o in hurt), '... by a write that was torn',
            ran, torn, [o['damaged_by'] for o in hurt])
    t.has('... and the verdict says it', ran, 'damaged the rest of its sector', story['verdict'])
    ran = t.run('explain', tokens[0], '--budget', '1r', cwd=folder)
    t.has('... and the terminal', ran, 'which was torn in the same sector', ran.out)


def check_late(t):
    """What is older than the states that were looked at is not what nobody ever wrote."""
    folder, tokens = cases(t, LATE, oracle='history')
    ran, story = tell(t, folder, tokens[0], '--budget', '1r')
    t.check('no transaction' not in str(story['rows']), 'a row of the first state', ran,
            'not: which no transaction', story['rows'])
    t.has('... is older than what was looked at', ran, 'older', str(story['rows']))


def check_own_check(t):
    """What only somebody's test can find again is refused, and is never reported as held."""
    folder, tokens = cases(t, LOSES)

    def theirs(content):
        content['finding']['oracle'] = 'own-check'
    rewritten(folder, tokens[0], 'own.ppcase', theirs)
    ran = t.run('explain', 'own.ppcase', '--report', 'out', cwd=folder)
    t.code('a case of somebody\'s own check', ran, 4)
    t.has('... says who can ask', ran, 'only the test that found it can ask its check again: run '
          'it with PLUGPULL_TOKEN=pp1-', ran.err)
    t.same('... and nothing else', ran, ('', False),
           (ran.out, os.path.exists(os.path.join(folder, 'out'))))


def check_interrupt(t):
    """Ctrl-C while fixes are proved tells what is known by then."""
    folder, tokens = own(t, 'controls/archival-normal.sql')
    terminal, end = pty.openpty()
    with subprocess.Popen([t.binary, 'explain', tokens[0], '--jobs', '1'], cwd=folder, stderr=end,
                          stdout=subprocess.PIPE, text=True) as process:
        os.close(end)
        said = b''
        while b'what would fix it' not in said:
            said += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        out = process.stdout.read()
    os.close(terminal)
    t.same('it ends with 130', None, 130, process.returncode)
    for words in ('Operations around the crash', 'had not reached the disk', 'interrupted'):
        t.has('... and has told what it knew', None, words, out)


def check(t):
    check_hidden(t)
    check_places(t)
    check_exit(t)
    check_journal(t)
    check_header(t)
    check_empty(t)
    check_damage(t)
    check_late(t)
    check_own_check(t)
    check_interrupt(t)
