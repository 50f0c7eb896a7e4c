"""The same SQL, recorded in four ways, gets the same grades.

    run        a scenario over the VFS shim and the simulated disk
    test       the sqlite3 shell under LD_PRELOAD
    strace     the sqlite3 shell under strace, imported
    extension  the sqlite3 shell with the loadable VFS

Where the search was exhaustive, the numbers of crash points, of states and of commits that can be
lost are the same, too: it is one trace, seen from four sides.

Only `run` knows when the program was told of a commit; the others read it from the locks. That is
the same moment, but for a commit that makes an automatic checkpoint: SQLite drops the write lock
before it, and returns after it (docs/disk-model.md, Acknowledgement). AUTOMATIC says what this
changes.
"""
import os
import re
import subprocess
import time

import tool

INPUTS = os.path.dirname(os.path.abspath(__file__))
MODELS = ['strict-posix', 'ext4-ordered', 'process-crash']
COMMITS = 8
WAYS = ['run', 'test', 'strace', 'extension']

# Pragmas, and what can be lost by the program's own word and by the locks. At FULL the log is
# synced before the lock goes, which leaves nothing between the two. At NORMAL the checkpoint's sync
# of the log is the first one that covers the commit that makes it, so between its lock and its
# return it can be lost with those before it: one more than when it has returned.
AUTOMATIC = [('synchronous=full wal_autocheckpoint=4', 'durable', 'durable'),
             ('synchronous=normal wal_autocheckpoint=4', 'consistent 2', 'consistent 3')]

SETTINGS = [(mode, level) for mode in ('delete', 'truncate', 'persist', 'wal')
            for level in ('extra', 'full', 'normal', 'off')] + [('memory', 'full'), ('off', 'full')]


def predicted(mode, level, model):
    """As docs/findings.md, entry 14, says it of these three models; `why` is there."""
    if mode in ('memory', 'off'):
        return 'corrupt'
    if model == 'process-crash':
        return 'durable'
    if level == 'off':
        return 'corrupt'
    if mode == 'wal':
        return f'consistent {COMMITS}' if level == 'normal' else 'durable'
    if level == 'normal':
        return 'corrupt'
    return 'consistent 1' if (mode, level) == ('delete', 'full') else 'durable'


def scenario(folder, pragmas):
    """ledger.sql as the only client of a scenario, upon nothing."""
    path = folder.path('ledger.sql')
    with open(os.path.join(INPUTS, 'ledger.sql'), encoding='utf-8') as f:
        sql = f.read()
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'-- @scenario the ledger\n-- @pragma {pragmas}\n-- @require corrupt\n'
                f'-- @client shell\n{sql}')
    return path


def record(plugpull, way, folder, pragmas):
    if way == 'run':
        return folder.result([plugpull, 'run', '--model', ','.join(MODELS),
                              scenario(folder, pragmas)])
    recorder = {'test': tool.Preload, 'strace': tool.Strace, 'extension': tool.Extension}[way]
    shell = ['sqlite3', 'app.db', *[f'PRAGMA {pragma};' for pragma in pragmas.split()],
             f'.read {INPUTS}/ledger.sql']
    return recorder(plugpull)(folder, shell, MODELS)


def compare_ways(plugpull, pragmas, grades, keys):
    """Records in each way. What is not as `grades`, {way: {model: grade}}, or not alike: lines."""
    complaints, found = [], {}
    for way, predictions in grades.items():
        with tool.Folder() as folder:
            try:
                found[way] = record(plugpull, way, folder, pragmas)
                complaints += [f'{way}: {line}'
                               for line in tool.compare(found[way], predictions, COMMITS)]
            except tool.Failed as e:
                complaints.append(f'{way}: {e}')
    for model in MODELS:
        # A search that ended at a corrupt state has looked at some of the states only.
        cases = {way: result.case(model) for way, result in found.items()
                 if result.case(model)['exhaustive']}
        for key in keys:
            values = {way: case[key] for way, case in cases.items()}
            if len(set(values.values())) > 1:
                complaints.append(f'{model}: {key} differs: {values}')
    return complaints


def one_setting(report, plugpull, mode, level):
    start = time.monotonic()
    grades = {model: predicted(mode, level, model) for model in MODELS}
    complaints = compare_ways(plugpull, f'journal_mode={mode} synchronous={level}',
                              dict.fromkeys(WAYS, grades),
                              ('crash_points', 'states', 'lost_acked_max'))
    report.add(f'four ways: {mode}, {level}', complaints,
               ', '.join(f'{model} {grade}' for model, grade in grades.items()),
               time.monotonic() - start)


def automatic(report, plugpull, pragmas, told, locks):
    start = time.monotonic()
    grades = {way: {'strict-posix': told if way == 'run' else locks,
                    'ext4-ordered': told if way == 'run' else locks, 'process-crash': 'durable'}
              for way in WAYS}
    complaints = compare_ways(plugpull, f'journal_mode=wal {pragmas}', grades, ())
    report.add(f'four ways: wal, {pragmas}', complaints,
               f'{told} by the program, {locks} by the locks', time.monotonic() - start)


def static_is_refused(report, plugpull, program):
    """LD_PRELOAD cannot reach into it: one line says so and names the other way."""
    with tool.Folder() as folder:
        run = subprocess.run([plugpull, 'test', '--', program, '--version'], cwd=folder.data,
                             stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=tool.SECONDS)
    lines = run.stderr.strip().splitlines()
    good = run.returncode == 2 and len(lines) == 1 and re.search('static.*strace', lines[0])
    report.add('a static program is refused', [] if good else
               [f'exit status {run.returncode}', run.stderr, run.stdout], 'one line names strace')


def tests(report, plugpull):
    why_not = tool.why_no_strace()
    if why_not:
        print(f'skip  four ways, the one by strace: {why_not.splitlines()[0]}', flush=True)
        WAYS.remove('strace')
    return [(one_setting, report, plugpull, *setting) for setting in SETTINGS] + \
        [(automatic, report, plugpull, *row) for row in AUTOMATIC]
