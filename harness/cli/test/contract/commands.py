"""Commands and options: what --help lists is what there is, all of it is heeded, and
docs/contract.md says so."""
import ctypes.util
import glob
import os
import pty
import re
import subprocess

from scenarios import ALLOWED, ARCHIVE, LOSES, ROWS, ids

# Everyday commands first; each with the options that it heeds beside --version and --help.
CASES = ['case', 'list', 'shard', 'keep-going']
RESULT = ['json', 'sqlite', 'show-data', 'timing', 'quiet', 'verbose', 'color']
RUNS = RESULT + ['report', 'seed', 'budget', 'set', 'require']
COMMANDS = {
    'init': [],
    'run': RUNS + CASES + ['model', 'depth', 'jobs', 'resume', 'representative'],
    'test': RUNS + ['model', 'depth', 'jobs', 'resume', 'representative', 'ack', 'invariant',
                    'check', 'timeout'],
    'replay': RESULT + ['materialize', 'gdb'],
    'explain': [o for o in RESULT if o != 'timing'] + ['report', 'budget', 'jobs'],
    'compare': ['json', 'quiet', 'color'],
    'shrink': RESULT + ['budget', 'jobs'],
    'record': ['output', 'timeout'],
    'explore': RUNS + ['model', 'depth', 'jobs', 'resume', 'representative', 'ack', 'invariant',
                       'check'],
    'trace': ['strace', 'output'],
    'kill': RUNS + CASES + ['model', 'jobs', 'resume', 'ack', 'invariant', 'timeout'],
    'matrix': RUNS + CASES + ['model', 'depth', 'jobs', 'resume', 'representative'],
    'mutate': RUNS + CASES + ['model'],
    'list': [],
    'doctor': ['sqlite'],
}
NOT_SERVED = ['sim', 'fuzz', 'qualify', 'report', 'merge', 'check']
MODELS = ['strict-posix', 'ext4-ordered', 'ext4-writeback', 'xfs', 'apfs-no-fullfsync',
          'apfs-barrier', 'nvme-4k', 'legacy-512-nopsow', 'lying-disk', 'process-crash']
DEFECTS = ['ack-before-commit', 'batch-in-two-transactions', 'batch-backwards',
           'size-later', 'count-later', 'blob-count-later', 'order-by-time', 'waits-by-wall-clock',
           'never-checkpoints', 'file-never-synced',
           'folder-never-synced', 'migration-outside-transaction', 'version-row-before-ddl', 'missing-commit-sync', 'checkpoint-without-log-sync',
           'directory-never-synced', 'failed-fsync-ignored', 'trace-with-a-hole', 'disk-forgets',
           'search-skips', 'history-of-another-run', 'kill-that-never-kills',
           'report-hides-a-violation', 'recovery-without-sync', 'journal-stays', 'log-vanishes',
           'read-only-after-recovery', 'lock-stays']
GRID = ROWS + '-- @matrix synchronous=full,extra cache_size=10,20\n'
# Needs many seconds, so that budgets and interrupts come in the middle of it.
LONG = '-- @scenario long\n-- @pragma journal_mode=wal synchronous=normal wal_autocheckpoint=8\n' \
    '-- @require consistent\n-- @workload store.archival batches=400 events=5\n'


def options_in(help_text):
    return re.findall(r'^  (?:-\w, |    )--([a-z-]+)', help_text, re.M)


def check_help(t, contract):
    ran = t.run('--help')
    t.code('--help', ran, 0)
    t.same('--help: nothing on stderr', ran, '', ran.err)
    listed = re.findall(r'^  ([a-z]+) +\S', ran.out.partition('Options:')[0], re.M)
    t.same('--help lists the commands, everyday ones first', ran, list(COMMANDS), listed)
    t.same('-h is --help', ran, ran.out, t.run('-h').out)
    ran = t.run()
    t.same('no command: exit 2 and the help on stderr', ran, (2, '', True),
           (ran.code, ran.out, 'usage: plugpull' in ran.err))
    with open(contract, encoding='utf-8') as f:
        text = f.read()
    for command, options in COMMANDS.items():
        ran = t.run(command, '--help')
        t.same(f'{command} --help lists its options', ran,
               (0, sorted(options + ['version', 'help'])), (ran.code, sorted(options_in(ran.out))))
        t.has(f'docs/contract.md has {command}', None, f'`{command}', text)
        for option in options:
            t.has(f'docs/contract.md has --{option}', None,
                  f'`--{option}', text)
        for other in sorted({o for all_of in COMMANDS.values() for o in all_of} - set(options)):
            t.refused(f'{command} --{other} is refused', t.run(command, f'--{other}'), f'--{other}')
    for name in NOT_SERVED:
        t.refused(f'{name} is refused', t.run(name, 'x'), f"unknown command '{name}'")
        t.has(f'docs/contract.md names {name}', None, f'`{name}`', text)
    for name in MODELS + ['--jobs', '--depth', '@define-model']:
        t.has(f'docs/contract.md names {name}', None, name, text)
    ran = t.run('--version')
    lines = ran.out.splitlines()
    good = ran.code == 0 and len(lines) == 3 and re.fullmatch(r'plugpull \d+\.\d+\.\d+', lines[0]) \
        and re.fullmatch(r'SQLite 3\.\d+\.\d+ at build, 3\.\d+\.\d+ at run time', lines[1])
    t.check(good, '--version: ours, SQLite at build and at run time', ran, 'three lines', ran.out)
    t.same('run --version', ran, ran.out, t.run('run', '--version').out)


def check_usage(t):
    # Also: upper and lower case differ, everywhere.
    for args, parts in (
            (['run'], ['`run` needs PATH']), (['replay'], ['`replay` needs CASE']),
            (['replay', 'a', 'b'], ["'b'"]), (['explore'], ['TRACE']), (['trace'], ['show|stat']),
            (['trace', 'shw', 'x'], ["'shw'"]), (['trace', 'import', 'x'], ["'import'"]),
            (['run', 'x', '--ack', 'lock'], ['--ack']),
            (['test'], ['behind --']), (['test', 'x'], ['behind --']), (['test', '--'], ['nothing']),
            (['record', '-o'], ['-o']), (['record', '--', 'true'], ['-o TRACE']),
            (['test', '--timeout', '5', '--', 'true'], ['--timeout', "'5'"]),
            (['test', 'x', '--', 'true'], ["'x'"]),
            (['list'], ['scenarios, models or defects']),
            (['list', 'modles'], ["'modles'"]), (['list', 'models', 'x'], ['models']),
            (['doctor', 'x'], ["'x'"]), (['kill'], ['PATH']), (['rnu', 'x'], ["'rnu'"]),
            (['run', 'x', '--no-such'], ['--no-such']), (['run', 'x', '-x'], ['-x']),
            (['run', 'x', '--se', '1'], ['--se']), (['run', 'x', '--jso', '-'], ['--jso']),
            (['run', 'x', '--jobs', '256'], ['--jobs']), (['run', 'x', '--depth', '0'], ['--depth']),
            (['RUN', 'x'], ["'RUN'"]), (['run', 'x', '--JSON', '-'], ['--JSON']),
            (['run', 'x', '--require', 'Durable'], ["'Durable'"]),
            (['run', 'x', '--depth', '3'], ['--depth']), (['run', 'x', '--jobs', '0'], ['--jobs']), (['run', 'x', '--depth'], ['--depth']),
            (['run', 'x', '--seed', '-1'], ['--seed']), (['run', 'x', '--seed', '1x'], ['--seed']),
            (['run', 'x', '--seed', '9223372036854775808'], ['--seed']),
            (['run', 'x', '--budget', '5'], ['--budget']),
            (['run', 'x', '--budget', '0r'], ['--budget']),
            (['run', 'x', '--budget', '1m'], ['--budget']),
            (['run', 'x', '--shard', '0/2'], ['--shard']),
            (['run', 'x', '--shard', '3/2'], ['--shard']),
            (['run', 'x', '--shard', '1'], ['--shard']),
            (['run', 'x', '--require', 'good'], ['--require', "'good'"]),
            (['run', 'x', '--color', 'blue'], ['--color', "'blue'"]),
            (['run', 'x', '--json', ''], ['--json']), (['run', 'x', '--list=yes'], ['--list']),
            (['run', 'x', '-q', '-v'], ['-q']), (['run', 'x', '--set', 'cache_size'], ['--set'])):
        t.refused(f'bad usage: {args}', t.run(*args), *parts)
    for args, parts in (
            (['--set', 'no_such=1'], ['--set', 'no_such']),
            (['--set', 'synchronous=FULL'], ['--set', 'FULL']),
            (['--set', 'Synchronous=full'], ['--set', 'Synchronous']),
            (['--model', 'Strict-Posix'], ['--model', 'Strict-Posix']),
            (['--set', 'synchronous=never'], ['--set', 'never']),
            (['--set', 'model.sector=1024'], ['--set', '1024']),
            (['--set', 'model.no_such=1'], ['--set', 'no_such']),
            (['--set', 'model.hole=foam'], ['--set', "zero, garbage or stale, not 'foam'"]),
            (['--set', 'workload.batches=1'], ['--set', 'workload.batches']),
            (['--model', 'floppy'], ['--model', "'floppy'"]),
            (['--model', 'strict-posix,strict-posix'], ['--model', 'twice']),
            (['--model', 'strict-posix,'], ['--model', 'empty'])):
        t.refused(f'bad usage: {args}', t.run('run', 'f.sql', *args, cwd=t.scenario(ROWS)), *parts)


def check_selection(t):
    ran, everything = ids(t, GRID)
    t.same('--list: ids of models and axes, keys sorted', ran,
           [f'f@strict-posix[cache_size={c},synchronous={s}]' for s in ('full', 'extra')
            for c in (10, 20)], everything)
    folder = t.scenario(GRID)
    ran = t.run('run', 'f.sql', '--list', '--report', 'out', '--json', 'o.json', cwd=folder)
    t.same('--list runs nothing and writes nothing', ran, (0, ['f.sql']),
           (ran.code, os.listdir(folder)))
    for glob_, expected in (('*synchronous=full]', everything[:2]), ('f@*', everything),
                            (everything[3], everything[3:]), ('*cache_size=?0,*', everything),
                            ('none', [])):
        ran, listed = ids(t, GRID, '--case', glob_)
        t.same(f'--case {glob_}', ran, expected, listed)
    ran = t.run_text(GRID, '--case', everything[1])
    t.same('--case: runs that case only', ran, [everything[1]],
           [c['id'] for c in ran.json()['cases']])
    ran = t.run_text(GRID, '--case', 'none')
    t.same('nothing ran is exit 4', ran, (4, 'inconclusive', []),
           (ran.code, ran.json()['verdict'], ran.json()['cases']))
    for n in (1, 2, 3):
        parts = [ids(t, GRID, '--shard', f'{i}/{n}')[1] for i in range(1, n + 1)]
        t.same(f'--shard: {n} parts are everything, once', None, sorted(everything),
               sorted(sum(parts, [])))
    one = ids(t, GRID + '-- @models strict-posix process-crash\n', '--shard', '1/2')[1]
    t.same('--shard: the choice for an id never depends on the others', None,
           ids(t, GRID, '--shard', '1/2')[1], [i for i in one if 'strict' in i])
    ran, listed = ids(t, GRID, '--model', 'process-crash,lying-disk', '--set', 'synchronous=full')
    t.same('--model and --set in ids', ran, [
        f'f@{m}[cache_size={c},synchronous=full]' for m in ('process-crash', 'lying-disk')
        for c in (10, 20)], listed)
    ran, listed = ids(t, GRID, '--set', 'page_size=512', '--case', '*cache_size=10*')
    t.same('--set: another key is added to the id', ran, [
        f'f@strict-posix[cache_size=10,page_size=512,synchronous={s}]' for s in ('full', 'extra')],
        listed)

    folder = t.folder()
    for name in ('b.sql', 'sub/a.sql', 'a.sql', '.hidden.sql', 'notes.txt'):
        t.write(folder, name, ROWS)
    ran = t.run('run', '.', '--list', cwd=folder)
    t.same('a folder: every .sql below it, in sorted order', ran,
           ['a@strict-posix', 'b@strict-posix', 'sub/a@strict-posix'], ran.out.splitlines())
    ran = t.run('run', 'sub', 'b.sql', '--list', cwd=folder)
    t.same('ids are relative to the argument', ran, ['a@strict-posix', 'b@strict-posix'],
           ran.out.splitlines())
    t.refused('two files, one id', t.run('run', 'a.sql', 'sub/a.sql', cwd=folder), 'a.sql',
              'sub/a.sql')


def check_heeded(t):
    seeds = [t.run_text(LOSES.replace(':i', ':r'), '--seed', s) for s in ('1', '2', '2')]
    t.same('--seed: in the JSON', seeds[1], [1, 2, 2], [r.json()['seed'] for r in seeds])
    tokens = [r.case()['violations'][0]['token'] for r in seeds]
    t.same('--seed: another seed is another run, the same one the same', seeds[1], (True, True),
           (tokens[0] != tokens[1], tokens[1] == tokens[2]))
    t.same('--seed: 1 without it', seeds[0], seeds[0].out, t.run_text(
        LOSES.replace(':i', ':r')).out)

    ran = t.run_text(ROWS, '--budget', '5r')
    case = ran.case()
    t.same('--budget 5r', ran, (4, 'inconclusive', False, 5, True),
           (ran.code, case['verdict'], case['exhaustive'], case['recoveries'],
            'budget' in case['reason']))
    for n in (1, 2, 3, 40):
        ran = t.run_text(ROWS, '--budget', f'{n}r')
        t.same(f'--budget {n}r: no recovery more', ran, n, ran.case()['recoveries'])
    ran = t.run_text(GRID, '--budget', '5r')
    t.same('--budget: for the whole command', ran, (4, 5),
           (ran.code, sum(c['recoveries'] for c in ran.json()['cases'])))
    ran = t.run_text(LONG, '--budget', '1s')
    t.check(ran.code == 4 and 0.9 < ran.seconds < 5 and ran.case()['exhaustive'] is False,
            '--budget 1s', ran, 'exit 4 after about a second', f'{ran.code}, {ran.seconds:.1f} s')
    ran = t.run_text(ROWS, '--budget', '1000000r')
    t.code('--budget: that is not spent', ran, 0)

    ran = t.run_text(ROWS + '-- @models process-crash\n', '--model', 'lying-disk')
    t.same('--model replaces @models', ran, (1, 'lying-disk'), (ran.code, ran.case()['model']))
    ran = t.run_text(LOSES, '--set', 'synchronous=full')
    t.same('--set: a pragma', ran, (0, 'full'), (ran.code, ran.case()['config']['synchronous']))
    small, large = (t.run_text(ROWS, '--set', f'model.sector={s}') for s in (512, 4096))
    t.check(int(small.case()['states']) > int(large.case()['states']) and
            small.case()['config'].get('model.sector') == '512', '--set: the model', small,
            'more states with smaller sectors', (small.case(), large.case()['states']))
    t.check(any('512' in n for n in small.case().get('notes', [])) and
            'notes' not in large.case(), '"notes": another sector size is labelled', small,
            'a note with 512', small.case().get('notes'))
    more, less = (t.run_text(ARCHIVE, '--set', f'workload.batches={n}') for n in (4, 2))
    t.same('--set: the workload', more, 2, more.case()['commits'] - less.case()['commits'])
    for grade, code in (('durable', 1), ('consistent', 0), ('torn', 0), ('corrupt', 0)):
        ran = t.run_text(ALLOWED, '--require', grade)
        t.same(f'--require {grade} replaces @require', ran, (code, grade),
               (ran.code, ran.case()['required']))
    ran = t.run_text(LOSES + '-- @expect consistent\n', '--require', 'durable')
    t.code('--require never replaces @expect', ran, 0)

    folder = t.scenario(ROWS.replace('VALUES (:i)', 'VALUES (nowhere)'), 'a.sql')
    t.scenario(ROWS, 'b.sql', folder)
    ran = t.run('run', '.', cwd=folder)
    t.same('without --keep-going an error ends the run', ran, (2, False),
           (ran.code, 'b@' in ran.out))
    ran = t.run('run', '.', '--keep-going', '--json', '-', cwd=folder)
    t.same('--keep-going', ran, (3, 'error', ['error', 'held']),
           (ran.code, ran.json()['verdict'], [c['verdict'] for c in ran.json()['cases']]))
    t.has('--keep-going: the reason', ran, 'a.sql:6: ', ran.case()['reason'] or '')
    t.same('--keep-going: a case in error has no grade', ran, None, ran.case()['grade'])
    t.same('--depth 1', ran, 0, t.run_text(ROWS, '--depth', '1').code)
    t.same('--jobs 1', ran, 0, t.run_text(ROWS, '--jobs', '1').code)


def check_shown(t):
    ran = t.run_text(ROWS, '--timing')
    t.check(isinstance(ran.case().get('seconds'), float), '--timing: seconds in the JSON', ran,
            'a number', ran.case().get('seconds'))
    folder = t.scenario(LOSES + '-- @matrix synchronous=full,normal\n'
                        '-- @invariant "never asked"\nSELECT 1 FROM nowhere;\n')
    plain = t.run('run', 'f.sql', cwd=folder)
    t.same('stdout: a line a case, stderr: nothing', plain, (1, True, True, ''),
           (plain.code, 'synchronous=full]' in plain.out, 'synchronous=normal]' in plain.out,
            plain.err))
    t.check(re.search(r'plugpull replay pp1-\S+', plain.out), 'a failing case ends with its replay',
            plain, 'plugpull replay pp1-...', plain.out)
    timed = t.run('run', 'f.sql', '--timing', cwd=folder)
    t.check(re.search(r'\d\.\d+ s\b', timed.out) and not re.search(r'\d\.\d+ s\b', plain.out),
            '--timing on the terminal', timed, 'seconds', timed.out)
    loses = t.scenario(LOSES + '-- @matrix synchronous=full,normal\n')
    quiet = t.run('run', 'f.sql', '-q', cwd=loses)
    t.same('-q: only what failed', quiet, (False, True),
           ('synchronous=full]' in quiet.out, 'synchronous=normal]' in quiet.out))
    t.same('--quiet', quiet, quiet.out, t.run('run', 'f.sql', '--quiet', cwd=loses).out)
    verbose = t.run('run', 'f.sql', '-v', cwd=folder)
    t.same('what was not applicable is always said', verbose, (True, True),
           ('not applicable' in verbose.out, 'not applicable' in plain.out))
    always = t.run('run', 'f.sql', '--color', 'always', cwd=folder)
    t.same('--color', always, (True, False, False),
           tuple('\033[' in out for out in (always.out, plain.out, t.run(
               'run', 'f.sql', '--color', 'never', cwd=folder).out)))
    t.same('--color: nothing else changes', always, plain.out,
           re.sub(r'\033\[\d*m', '', always.out))


def on_terminal(t, args, cwd, env, to_stderr):
    """What a command writes to stdout, or to stderr, when that is a terminal."""
    ours, theirs = pty.openpty()
    streams = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
    streams['stderr' if to_stderr else 'stdout'] = theirs
    with subprocess.Popen([t.binary, *args], cwd=cwd, stdin=subprocess.DEVNULL,
                          env={**t.environment, 'TERM': 'xterm', **env}, **streams) as process:
        os.close(theirs)
        text = b''
        try:
            while data := os.read(ours, 4096):
                text += data
        except OSError:  # EIO: the other end is closed
            pass
        process.wait()
    os.close(ours)
    return text.decode('utf-8', 'replace')


def check_terminal(t):
    folder = t.scenario(ROWS)
    shown = [on_terminal(t, ['run', 'f.sql', *args], folder, env, False) for args, env in (
        ([], {}), ([], {'NO_COLOR': '1'}), ([], {'TERM': 'dumb'}), (['--color', 'never'], {}),
        (['--color', 'auto'], {}))]
    t.same('--color auto: on a terminal, unless NO_COLOR or TERM=dumb', None,
           [True, False, False, False, True], ['\033[32m' in text for text in shown])
    folder = t.scenario(LONG)
    progress = [on_terminal(t, ['run', 'f.sql', '--budget', '2s', *args], folder, {}, True)
                for args in ([], ['-q'])]
    t.same('progress: on stderr, and not with -q', None, [True, False],
           ['crash points left' in text for text in progress])


def find_sqlite():
    paths = glob.glob('/usr/lib/*/libsqlite3.so.0') + glob.glob('/lib/*/libsqlite3.so.0')
    for program in ('ldconfig', '/sbin/ldconfig', '/usr/sbin/ldconfig'):
        try:
            text = subprocess.run([program, '-p'], stdout=subprocess.PIPE, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        found = re.search(r'libsqlite3\.so\.0 .*=> (\S+)', text.decode())
        if found:
            return found[1]
    return paths[0] if paths else ctypes.util.find_library('sqlite3')


def check_sqlite(t):
    path = os.path.realpath(find_sqlite())
    standard = t.run('--version').out.splitlines()[2]
    ran = t.run('run', 'f.sql', '--json', '-', '--sqlite', path, cwd=t.scenario(ROWS))
    t.same('--sqlite: the right path', ran, (0, standard),
           (ran.code, ran.json()['sqlite']['source_id'] if ran.code == 0 else None))
    # The same library under another name says another source id, if it is really that one.
    with open(path, 'rb') as f:
        content = f.read()
    other = standard[:-4] + 'test'
    folder = t.scenario(ROWS)
    library = t.write(folder, 'other/libother.so', content.replace(standard.encode(),
                                                                  other.encode()))
    for given in (library, 'other/libother.so'):
        ran = t.run('run', 'f.sql', '--json', '-', '--sqlite', given, cwd=folder)
        t.same(f'--sqlite {given}: that library is used', ran, (0, other),
               (ran.code, ran.json()['sqlite']['source_id'] if ran.code == 0 else None))
    ran = t.run('doctor', '--sqlite', library)
    t.check(ran.code in (0, 1) and ran.out, 'doctor --sqlite', ran, 'its lines', ran.out)
    for wrong in ('./none.so', 'f.sql', '/dev/null', '.'):
        t.refused(f'--sqlite {wrong}', t.run('run', 'f.sql', '--sqlite', wrong, cwd=folder),
                  '--sqlite', wrong)


def check_lists(t):
    ran = t.run('list', 'models')
    models, _, parameters = ran.out.partition('\n\n')
    t.same('list models', ran, (0, MODELS), (ran.code, re.findall(r'^(\S+)', models, re.M)))
    for part in ('stands for', 'parameters', 'sources', 'leaves out'):
        t.same(f'list models: each has {part}', ran, len(MODELS),
               len(re.findall(rf'^  {part}: \S', models, re.M)))
    t.same('list models: parameters with their values', ran,
           ['reorder=any|file|none', 'namespace=any|ordered', 'hole=zero|garbage|stale',
            'fsync=honest|lies|barrier', 'fsync-entry=no|yes', 'fsync-scope=file|filesystem',
            'size-after-data=no|yes', 'psow=yes|no', 'sector=device|512|4096'],
           re.findall(r'^  (\S+=\S+)$', parameters, re.M))
    ran = t.run('list', 'defects')
    t.same('list defects', ran, (0, DEFECTS), (ran.code, re.findall(r'^(\S+)', ran.out, re.M)))
    folder = t.scenario(ROWS.replace('rows one', 'another'), 'z.sql')
    t.scenario(ROWS, 'sub/y.sql', folder)
    ran = t.run('list', 'scenarios', '.', cwd=folder)
    t.same('list scenarios', ran, [['./sub/y.sql', 'rows one by one'], ['./z.sql',
                                                                       'another by one']],
           [line.split(None, 1) for line in ran.out.splitlines()])
    ran = t.run('list', 'scenarios', cwd=t.scenario(ROWS, 'scenarios/s.sql'))
    t.has('list scenarios: those of scenarios/ without a path', ran, 'scenarios/s.sql', ran.out)
    folder = t.scenario(ROWS, 'durability/d.sql')
    ran = t.run('list', 'scenarios', cwd=folder)
    t.has('... where there are none, those of durability/', ran, 'durability/d.sql', ran.out)
    t.write(folder, 'scenarios/s.sql', ROWS)
    ran = t.run('list', 'scenarios', cwd=folder)
    t.check('scenarios/s.sql' in ran.out and 'durability' not in ran.out,
            '... and otherwise not', ran, 'scenarios/ alone', ran.out)
    t.refused('list scenarios: one that is wrong', t.run('list', 'scenarios', '.', cwd=t.scenario(
        '-- @scenario x\n-- @clinet\n')), 'f.sql:2: ')
    ran = t.run('doctor')
    words = re.findall(r'^(ok|missing) +\S', ran.out, re.M)
    t.check(len(words) >= 5 and len(words) + 1 == len(ran.out.splitlines()) and
            ran.code == (1 if 'missing' in words else 0), 'doctor: a line a check, 1 with a missing',
            ran, 'exit 0 if all is ok', f'exit {ran.code}, {ran.out}')


def check(t, contract):
    t.part(check_help, contract)
    t.part(check_usage)
    t.part(check_selection)
    t.part(check_heeded)
    t.part(check_shown)
    t.part(check_terminal)
    t.part(check_sqlite)
    t.part(check_lists)
