"""`kill`: its JSON, its options, and that nothing is left behind.

What it finds is tested elsewhere."""
import json
import os

from damage import interrupt
from results import form
from scenarios import ARCHIVE, ROWS

KILLED = ROWS + '-- @matrix journal_mode=wal,delete\n'


def left_behind(t):
    return os.listdir(t.environment['TMPDIR'])


def check_rounds(t):
    folder = t.scenario(ROWS)
    ran = t.run('kill', 'f.sql', '--budget', '3r', '--json', '-', cwd=folder)
    form(t, 'kill: JSON', ran, ran.out, 'kill', ('rounds',))
    case = t.get('kill: a case', ran, ran.case) or {}
    t.same('kill: id, model, states, exhaustive, rounds', ran, ('f@kill', None, None, False, 3),
           tuple(case.get(k, 'none') for k in ('id', 'model', 'states', 'exhaustive', 'rounds')))
    t.check(ran.code in (0, 4) and case.get('verdict') in ('held', 'inconclusive') and
            case.get('violations') == [], 'kill: no violation', ran, 'exit 0, or 4', ran.out)
    t.same('kill: nothing is left', ran, ([], ['f.sql']), (left_behind(t), os.listdir(folder)))

    ran = t.run('kill', 'f.sql', '--budget', '6r', '--report', 'out', cwd=t.scenario(ARCHIVE))
    t.check(ran.code in (0, 4) and 'round' in ran.out, 'kill: a workload', ran, 'exit 0, or 4',
            ran.out)
    ran = t.run('kill', 'f.sql', '--list', cwd=t.scenario(KILLED))
    listed = ran.out.splitlines()
    t.same('kill --list', ran, (0, 2), (ran.code, len(listed)))
    ran = t.run('kill', 'f.sql', '--case', '*delete*', '--budget', '2r', '--json', '-', '--seed',
                '9', '--timing', cwd=t.scenario(KILLED))
    result = t.get('kill --case', ran, ran.json) or {'cases': [{}]}
    t.same('kill --case --seed --timing', ran, (listed[1:], 9, True),
           ([c.get('id') for c in result['cases']], result.get('seed'),
            'seconds' in result['cases'][0]))
    parts = [t.run('kill', 'f.sql', '--list', '--shard', f'{i}/2', cwd=t.scenario(KILLED)).out
             for i in (1, 2)]
    t.same('kill --shard', None, sorted(listed), sorted(''.join(parts).splitlines()))
    ran = t.run('kill', 'f.sql', '--set', 'synchronous=off', '--require', 'consistent', '--budget',
                '2r', '--json', '-', cwd=t.scenario(ROWS))
    case = t.get('kill --set', ran, ran.case) or {}
    t.same('kill --set --require', ran, ('off', 'consistent'),
           (case.get('config', {}).get('synchronous'), case.get('required')))
    ran = t.run('kill', 'f.sql', '--budget', '1s', '--json', '-', cwd=t.scenario(ROWS))
    t.check(0.9 < ran.seconds < 6 and (t.get('kill --budget', ran, ran.case) or {}).get(
        'rounds', 0) > 0, 'kill --budget 1s', ran, 'rounds for a second', ran.seconds)
    t.refused('kill: a directive that is wrong', t.run('kill', 'f.sql', cwd=t.scenario(
        ROWS + '-- @clinet\n')), 'f.sql:7: ')
    ran = t.run('kill', 'f.sql', '--budget', '2r', cwd=t.scenario(
        ROWS.replace('CREATE TABLE t(x);', 'NONSENSE;')))
    t.refused('kill: SQL that fails in setup', ran, 'f.sql:4: ')
    for command in ('run', 'kill'):
        ran = t.run(command, 'f.sql', cwd=t.scenario(ROWS + '-- @plant ack-before-commit\n'))
        t.refused(f'{command}: a defect that nothing carries', ran, 'ack-before-commit')
    t.same('kill: nothing is left', ran, [], left_behind(t))


def check_interrupt(t):
    for whole_group in (True, False):
        folder = t.scenario(ARCHIVE.replace('batches=2', 'batches=2000'))
        ran, seconds, left = interrupt(t, ['kill', 'f.sql', '--budget', '60s', '--json', 'o.json'],
                                       folder, '', whole_group=whole_group)
        t.same('kill, SIGINT: 130, soon, nobody left', ran, (130, True, [], []),
               (ran.code, seconds < 5, left, left_behind(t)))
        text = t.get('kill, SIGINT: JSON', ran, lambda at=folder: open(
            os.path.join(at, 'o.json'), encoding='utf-8').read()) or '{}'
        t.same('kill, SIGINT: JSON says so', ran, True, json.loads(text).get('interrupted'))


def check(t):
    t.part(check_rounds)
    t.part(check_interrupt)
