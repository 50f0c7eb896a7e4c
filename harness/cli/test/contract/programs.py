"""`test` and `record`: strangers' programs (the sqlite3 shell and sh), their exit codes, lines and
JSON."""
import json
import os
import time

from damage import interrupt
from kills import left_behind

WAL = 'PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES (1);'
DELETE = 'CREATE TABLE t(x); INSERT INTO t VALUES (1);'


def shell(sql, database='a.db'):
    return ['sqlite3', database, sql]


def tested(t, what, program, *options, cwd=None):
    """Exit code and JSON of `plugpull test`."""
    cwd = cwd or t.folder()
    ran = t.run('test', *options, '--json', 'o.json', '--', *program, cwd=cwd)
    text = t.get(what, ran, lambda: open(os.path.join(cwd, 'o.json'), encoding='utf-8').read())
    return ran, json.loads(text) if text else {'cases': [{}]}


def check_verdicts(t):
    for sql, options, code, grade in (
            (WAL, ['--require', 'durable'], 0, 'durable'), (DELETE, [], 0, 'consistent'),
            (DELETE, ['--require', 'durable'], 1, 'consistent'),
            ('PRAGMA synchronous=off;' + DELETE, [], 1, 'corrupt')):
        ran, result = tested(t, f'test {sql[:20]}', shell(sql), *options)
        case = result['cases'][0]
        t.same(f'test {sql[:24]} {options}: exit code, grade, exhaustive, program_exit', ran,
               (code, grade, True, 0, 0),
               (ran.code, case.get('grade'), case.get('exhaustive') or grade == 'corrupt',
                case.get('program_exit'), result.get('program_exit')))
        t.same('test: id, scenario, command, required', ran,
               (' '.join(shell(sql))[:100] + '@strict-posix', ' '.join(shell(sql)), 'test',
                options[1] if options else 'consistent'),
               (case.get('id'), case.get('scenario'), result.get('command'), case.get('required')))
    ran, result = tested(t, 'test of two models', shell(WAL), '--model', 'strict-posix,xfs')
    t.same('test --model: a case each', ran, ['strict-posix', 'xfs'],
           [c.get('model') for c in result['cases']])
    folder = t.folder()
    first, _ = tested(t, 'test', shell(WAL + 'SELECT 10 * 10;'), cwd=folder)
    t.same("test: the program's output is on stderr", first, (False, True),
           ('100\n' in first.out, 'wal\n100\n' in first.err))


def check_programs(t):
    for what, program, code, words, status in (
            ('ends with 3', ['sh', '-c', f'sqlite3 a.db "{DELETE}"; exit 3'], 0,
             'exit status 3', 3),
            ('crashes', ['sh', '-c', f'sqlite3 a.db "{DELETE}"; kill -SEGV $$'], 0,
             'signal 11', 139),
            ('opens no database', ['true'], 4, '', 0),
            ('writes nothing', shell('BEGIN IMMEDIATE; ROLLBACK;'), 4, '', 0)):
        ran, result = tested(t, what, program)
        case = result['cases'][0]
        t.same(f'test of a program that {what}', ran, (code, status, words in ran.err, code == 0),
               (ran.code, case.get('program_exit'), words in ran.err,
                case.get('verdict') == 'held'))
        t.check(ran.err.count('\n') <= 1, f'test of a program that {what}: one line', ran,
                'at most one line', ran.err)
        if code == 4:
            t.check(case.get('reason'), f'test of a program that {what}: the reason', ran,
                    'a reason', case)
    start = time.monotonic()
    ran, result = tested(t, 'for ever', ['sh', '-c', f'sqlite3 a.db "{WAL}"; sleep 60'],
                         '--timeout', '1s')
    case = result['cases'][0]
    t.same('test --timeout: inconclusive, explored, in time', ran, (4, 'inconclusive', True, True),
           (ran.code, case.get('verdict'), '--timeout' in str(case.get('reason')),
            time.monotonic() - start < 20))
    ran, result = tested(t, 'leaves a child', ['sh', '-c', f'sqlite3 a.db "{WAL}"; sleep 50 &'])
    t.same('test of a program that leaves a process running', ran, (0, True),
           (ran.code, '1 process running' in ran.err))
    t.refused('test of no program', t.run('test', '--', './none'), './none')
    folder = t.folder()
    t.write(folder, 'static.c', 'int main(void) { return 0; }')
    if os.system(f'cd {folder} && cc -static -o static static.c 2>/dev/null') == 0:
        t.refused('test of a static program', t.run('test', '--', './static', cwd=folder),
                  'statically linked', 'strace')
    t.same('test: nothing is left', None, [], left_behind(t))


def check_record(t):
    folder = t.folder()
    ran = t.run('record', '-o', 'a.trace', '--', *shell(WAL + "SELECT 'told';"), cwd=folder)
    t.same("record: exit code, the program's output on stdout", ran, (0, True, True),
           (ran.code, 'told\n' in ran.out, 'a.trace' in ran.err))
    for ack, words in (('lock', 'lock protocol'), ('output', 'outputs')):
        ran = t.run('explore', 'a.trace', '--ack', ack, '--json', '-', cwd=folder)
        case = t.get(f'explore --ack {ack}', ran, ran.case) or {}
        t.same(f'explore of what was recorded, --ack {ack}', ran, (0, 'durable', True),
               (ran.code, case.get('grade'), words in ' '.join(case.get('notes', []))))
    program = ['sh', '-c', f'sqlite3 a.db "{WAL}"; echo "ack 1" >>$PLUGPULL_MARK; '
                           'echo "mark here" >>$PLUGPULL_MARK; sqlite3 a.db "INSERT INTO t '
                           'VALUES (2)"']
    folder = t.folder()
    ran = t.run('record', '-o', 'a.trace', '--', *program, cwd=folder)
    stat = t.run('trace', 'stat', 'a.trace', cwd=folder)
    t.check('  ack               1\n' in stat.out, 'record: a line in $PLUGPULL_MARK is an ack', stat,
            'one ack', stat.out)
    ran = t.run('explore', 'a.trace', '--json', '-', cwd=folder)
    case = t.get('explore of marks', ran, ran.case) or {}
    t.same('explore: marks count where there are any', ran, True,
           'marks' in ' '.join(case.get('notes', [])))
    folder = t.folder()
    ran = t.run('record', '-o', 'a.trace', '--', 'true', cwd=folder)
    t.same('record of nothing: 4, no trace', ran, (4, False),
           (ran.code, os.path.exists(os.path.join(folder, 'a.trace'))))
    t.same('record: nothing is left', None, [], left_behind(t))


def check_command(t):
    """A log that was never synced, and told: --check finds it gone, in the words of its last line."""
    program = ['sh', '-c', f'sqlite3 a.db "{WAL}"; echo x >log; echo done; sqlite3 a.db "INSERT '
                           'INTO t VALUES (2)"']
    check = 'if grep -q done "$PLUGPULL_OUTPUT" && ! [ -s log ]; then echo looking; ' \
        'echo "the log is gone"; exit 1; fi'
    ran, result = tested(t, 'test --check', program, '--check', check)
    case = result['cases'][0]
    messages = [v.get('message') for v in case.get('violations', []) if v.get('oracle') == 'check']
    t.same('test --check: a file that is no database, and what the program had said', ran,
           (1, 'corrupt', False, True),
           (ran.code, case.get('grade'), case.get('exhaustive'),
            len(messages) == 1 and messages[0].endswith('the log is gone')))
    ran, result = tested(t, 'test --check', program, '--check', 'true')
    case = result['cases'][0]
    t.same('test --check: one that is content; sampled, never exhaustive', ran,
           (0, False, True),
           (ran.code, case.get('exhaustive'), case.get('sampled', 0) > 1))
    folder = t.folder()
    t.write(folder, 'i.sql', '-- @invariant "one row"\nSELECT 1 FROM t GROUP BY 1 HAVING '
                             'count(*) > 1;\n')
    ran, result = tested(t, 'test --invariant',
                         shell(WAL + 'INSERT INTO t VALUES (2);'), '--invariant', 'i.sql',
                         cwd=folder)
    t.same('test --invariant', ran, (1, ['invariant']),
           (ran.code, [v.get('oracle') for v in result['cases'][0].get('violations', [])]))


def check_hole(t):
    """What a program does behind the recorder's back is found by comparing bytes."""
    folder = t.folder()
    program = ['sh', '-c', f'sqlite3 a.db "{WAL}"; env -u LD_PRELOAD sqlite3 a.db '
                           '"INSERT INTO t VALUES (2)"']
    ran, result = tested(t, 'a hole', ['sh', '-c', program[2].replace(
        'env -u LD_PRELOAD', 'env -u PLUGPULL_RECORDING')], cwd=folder)
    case = result['cases'][0]
    t.same('test: a program that hides is followed, or is a hole', ran, True,
           (case.get('verdict'), case.get('grade')) in (('held', 'durable'),
                                                        ('inconclusive', None)))
    writer = 'import mmap; f = open("a.db", "r+b"); m = mmap.mmap(f.fileno(), 0); ' \
        'm[4095:4096] = b"x"; m.close()'
    ran, result = tested(t, 'a hole', ['sh', '-c', f"sqlite3 a.db \"{DELETE}\"; "
                                                   f"python3 -c '{writer}'"])
    case = result['cases'][0]
    t.same('test: a write through a mapping is a hole: never durable', ran,
           (4, 'inconclusive', None, True),
           (ran.code, case.get('verdict'), case.get('grade'), 'hole' in str(case.get('reason'))))


def check_interrupt(t):
    folder = t.folder()
    ran, seconds, left = interrupt(t, ['test', '--', 'sh', '-c', f'sqlite3 a.db "{WAL}"; sleep 60'],
                                   folder, '', whole_group=False)
    t.same('test, SIGINT: 130, soon, nobody left', ran, (130, True, [], []),
           (ran.code, seconds < 5, left, left_behind(t)))


def check(t):
    t.part(check_verdicts)
    t.part(check_programs)
    t.part(check_record)
    t.part(check_command)
    t.part(check_hole)
    t.part(check_interrupt)
