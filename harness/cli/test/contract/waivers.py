"""plugpull.waivers: where it is read, what it waives, when it fails."""
import json
import os

from scenarios import LOSES, ROWS

ID = 'f@strict-posix'
LATER = '2199-12-31'
MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', '..', '..',
                      'scenarios', 'models')


def waived(t, line, *args, text=LOSES, folder=None, name='plugpull.waivers', env=None):
    folder = folder or t.scenario(text)
    t.write(folder, name, line)
    return t.run('run', 'f.sql', '--json', '-', *args, cwd=folder, env=env)


def lost(t):
    return t.run_text(LOSES).case()['lost_acked_max']


def check_waived(t):
    n = lost(t)
    line = f'# known\n{ID} history {n} {LATER} "issue 12"\n'
    ran = waived(t, line)
    case = ran.case()
    t.same('what is waived holds', ran, (0, 'held', 'held', 'consistent', n),
           (ran.code, ran.json()['verdict'], case['verdict'], case['grade'],
            case['lost_acked_max']))
    t.same('"waived" of the violation', ran,
           {'allowed': str(n), 'until': LATER, 'reason': 'issue 12', 'line': 2},
           case['violations'][0].get('waived'))
    t.check(case['violations'][0]['token'] and
            any('issue 12 (plugpull.waivers:2)' in note for note in case['notes']),
            'the token stays, and a note says it', ran, 'token and note', case)
    t.same('the same violation without a waiver has no such key', ran, None,
           t.run_text(LOSES).case()['violations'][0].get('waived'))
    for loss, code in ((n + 1, 0), (n - 1, 1), ('consistent', 0), ('torn', 0), ('corrupt', 0)):
        ran = waived(t, f'{ID} history {loss} {LATER} x\n')
        t.same(f'a loss of {loss} where {n} are lost', ran, code, ran.code)
    ran = waived(t, f'{ID} history {n - 1} {LATER} x\n')
    t.check(any('plugpull.waivers:1: ' in note and 'beyond' in note
                for note in ran.case()['notes']), '... says which waiver does not do', ran, 'a note',
            ran.case()['notes'])
    ran = waived(t, f'{ID} integrity corrupt {LATER} x\n')
    t.same('of another oracle', ran, 1, ran.code)
    folder = t.scenario(LOSES)
    t.write(folder, 'plugpull.waivers', line)
    ran = t.run('run', 'f.sql', '--report', 'out', cwd=folder)
    t.check(ran.code == 0 and f'note: waived until {LATER}: history, consistent: issue 12' in ran.out,
            'on the terminal', ran, 'a note', ran.out)
    for name, part in (('junit.xml', 'issue 12'), ('summary.md', '## Waived\n')):
        with open(os.path.join(folder, 'out', name), encoding='utf-8') as f:
            t.has(f'in {name}', ran, part, f.read())
    with open(os.path.join(folder, 'out', 'annotations.txt'), encoding='utf-8') as f:
        t.same('no annotation of what is waived', ran, '', f.read())
    ran = waived(t, line, '--budget', '5r')
    t.same('what was not proved is not held', ran, (4, 'inconclusive'),
           (ran.code, ran.case()['verdict']))
    ran = waived(t, line, text=LOSES + '-- @expect durable\n')
    t.check(ran.code == 1 and '@expect' in ran.case()['reason'], '@expect is never waived', ran,
            'exit 1', ran.case()['reason'])


def check_fails(t):
    n = lost(t)
    past = {'SOURCE_DATE_EPOCH': '1735689599'}  # the last second of 2024
    for day, code in (('2024-12-31', 0), ('2024-12-30', 1)):
        ran = waived(t, f'{ID} history {n} {day} x\n', env=past)
        t.same(f'{day}, on 2024-12-31', ran, code, ran.code)
    ran = waived(t, f'{ID} history {n} 2024-12-30 x\n')
    t.check(ran.code == 1 and 'plugpull.waivers:1: the waiver of history expired on 2024-12-30' in
            ran.case()['reason'] and 'waived' not in ran.case()['violations'][0],
            'an expired one fails, and says which', ran, 'exit 1', ran.case()['reason'])
    ran = waived(t, f'\n{ID} history {n} {LATER} x\n', text=ROWS)
    t.check(ran.code == 1 and ran.case()['grade'] == 'durable' and
            'plugpull.waivers:2: ' in ran.case()['reason'], 'one that nothing needs fails', ran,
            'exit 1', ran.case())
    ran = waived(t, f'{ID} history {n} {LATER} x\n', '--require', 'consistent')
    t.check(ran.code == 1 and 'not needed, because only consistent is required here' in
            ran.case()['reason'], 'one that a lower floor makes needless says so', ran, 'exit 1',
            ran.case()['reason'])
    ran = waived(t, f'{ID} history {n} {LATER} x\n', env={'SOURCE_DATE_EPOCH': 'now'})
    t.refused('SOURCE_DATE_EPOCH that is no number', ran, 'SOURCE_DATE_EPOCH')
    unknown = f'g@strict-posix history 1 {LATER} x\n'
    folder = t.scenario(LOSES)
    t.write(folder, 'plugpull.waivers', unknown)
    ran = t.run('run', '.', cwd=folder)
    t.refused('a whole folder, and a case that there is not', ran, './plugpull.waivers:1: ',
              "'g@strict-posix'")
    for args in (['f.sql'], ['.', '--case', 'f@*'], ['.', '--shard', '1/1'],
                 ['.', '--model', 'strict-posix']):
        ran = t.run('run', *args, '--require', 'consistent', cwd=folder)
        t.same(f'... is nothing to run {args}', ran, 0, ran.code)


# A commit with synchronous=normal can damage the database (its journal is not synced whole), and the
# application raises a flag before it and lowers it behind: at the first such state of a crash point
# the invariant objects, and the damage lies behind.
FLAG = """-- @scenario a flag that is up while a dangerous thing is done
-- @pragma journal_mode=persist synchronous=normal
-- @require consistent
-- @models ext4-ordered
-- @setup
CREATE TABLE flag(n INTEGER);
INSERT INTO flag VALUES (0);
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
INSERT INTO t(v) VALUES (zeroblob(50000));
DELETE FROM t;
-- @client a
PRAGMA synchronous=full;
UPDATE flag SET n = 1;
PRAGMA synchronous=normal;
INSERT INTO t(v) VALUES (zeroblob(5000));
INSERT INTO t(v) VALUES (zeroblob(5000));
PRAGMA synchronous=full;
UPDATE flag SET n = 0;
-- @invariant "the flag is down"
SELECT n FROM flag WHERE n <> 0;
"""


def check_behind(t):
    """What is waived as corrupt hides nothing that lies behind it, and proves nothing unseen."""
    case_id = 'f@ext4-ordered'
    plain = t.run_text(FLAG).case()
    t.same('without a waiver only the flag is seen', None, (['invariant'], False),
           ([v['oracle'] for v in plain['violations'] if v['grade'] == 'corrupt'],
            plain['exhaustive']))
    line = f'{case_id} invariant corrupt {LATER} x\n'
    ran = waived(t, line, text=FLAG)
    case = ran.case()
    t.same('what lies behind the waived flag is found', ran, (1, ['integrity']),
           (ran.code, [v['oracle'] for v in case['violations']
                       if v['grade'] == 'corrupt' and 'waived' not in v]))
    line += f'{case_id} integrity corrupt {LATER} x\n'
    ran = waived(t, line, text=FLAG)
    t.same('... and what lies behind that', ran, (1, ['recovery']),
           (ran.code, [v['oracle'] for v in ran.case()['violations']
                       if v['grade'] == 'corrupt' and 'waived' not in v]))
    line += f'{case_id} recovery corrupt {LATER} x\n'
    ran = waived(t, line, text=FLAG)
    case = ran.case()
    t.same('waived all three, every state is covered', ran, (0, True, 'corrupt'),
           (ran.code, case['exhaustive'], case['grade']))
    ran = waived(t, line, '--budget', '30r', text=FLAG)
    t.same('of a part of them nothing is held', ran, (4, False),
           (ran.code, ran.case()['exhaustive']))
    ran = waived(t, line, '--jobs', '2', text=FLAG)
    t.same('by two workers', ran, case, ran.case())
    folder = t.scenario(FLAG)
    t.run('run', 'f.sql', '--resume', 'known', '--json', '-', cwd=folder)
    ran = waived(t, line, '--resume', 'known', folder=folder)
    t.same('a resume file of the run without waivers does not stand for it', ran, case, ran.case())
    ran = waived(t, f'{case_id} leftovers 0 {LATER} x\n', text=FLAG)
    case = ran.case()
    t.check(ran.code == 1 and 'leftovers' not in (case['reason'] or '') and
            any('not known whether the waiver of leftovers is needed' in n for n in case['notes']),
            'of a part nobody says that a waiver is not needed', ran, 'a note', case)


def check_bound(t):
    """Behind a corrupt state there may be no end of states: the crash point ends at a bound, and the
    case is not held."""
    with open(os.path.join(MODELS, 'process-crash-survives.sql'), encoding='utf-8') as f:
        text = ''.join(line for line in f if '@expect' not in line)
    case_id = 'f@strict-posix[journal_mode=truncate]'
    names = [v['oracle'] for v in t.run_text(text, '--case', case_id).case()['violations']]
    lines = ''.join(f'{case_id} {name} corrupt {LATER} x\n'
                    for name in sorted({*names, 'integrity', 'recovery', 'history'}))
    ran = waived(t, lines, '--case', case_id, text=text)
    case = ran.case()
    t.check(ran.code == 4 and case['recoveries'] < 20000 and not case['exhaustive'] and
            'what is waived as corrupt ended 1 of ' in case['reason'] and
            '4000 recoveries' in case['reason'], 'what has no end is inconclusive', ran,
            'exit 4, and why', case)


def check_cut(t):
    """A violated case that was cut says how far it came."""
    ran = t.run_text(LOSES, '--budget', '20r')
    case = ran.case()
    t.check(ran.code == 1 and not case['exhaustive'] and
            any(n.startswith('partial: budget spent with ') and
                f' of {case["crash_points"]} crash points done' in n
                for n in case.get('notes', [])),
            'a violated case that was cut says how far it came', ran, 'a note', case)
    ran = t.run_text(LOSES)
    t.check(not any('crash points done' in n for n in ran.case().get('notes', [])),
            '... and one that was not cut does not', ran, 'no note', ran.case())


def check_places(t):
    n = lost(t)
    line = f'{ID} history {n} {LATER} x\n'
    folder = t.folder()
    t.write(folder, 's/f.sql', LOSES)
    t.write(folder, 's/plugpull.waivers', line)
    for args in (['s'], ['s/'], ['./s//'], ['s/f.sql'], [os.path.join(folder, 's')]):
        ran = t.run('run', *args, cwd=folder)
        t.same(f'run {args}: beside the scenario', ran, 0, ran.code)
    os.rename(os.path.join(folder, 's/plugpull.waivers'), os.path.join(folder, 'plugpull.waivers'))
    ran = t.run('run', 's', cwd=folder)
    t.same('not in the current folder', ran, 1, ran.code)
    t.write(folder, 'plugpull.waivers', line.replace('f@', 's/f@'))
    ran = t.run('run', '.', cwd=folder)
    t.same('ids are relative to the argument', ran, 0, ran.code)
    ran = t.run('mutate', '.', '--json', '-', cwd=folder)
    t.check(ran.case().get('score', {}).get('caught', 0) > 0,
            'mutate: what is waived can be mutated', ran, 'a score', ran.case())
    ran = t.run('matrix', '.', '--set', 'journal_mode=wal', cwd=folder)
    t.same('matrix judges nothing and waives nothing', ran, 0, ran.code)
    program = ['sqlite3', 'a.db', 'CREATE TABLE t(x)']
    folder = t.folder()
    ran = t.run('test', '--require', 'durable', '--json', '-', '--', *program, cwd=folder)
    case = ran.case()
    t.same('a program that loses a commit', ran, (1, 'consistent'), (ran.code, case['grade']))
    quoted = case['id'].replace('"', '""')
    os.remove(os.path.join(folder, 'a.db'))
    t.write(folder, 'plugpull.waivers', f'"{quoted}" history 1 {LATER} x\n')
    ran = t.run('test', '--require', 'durable', '--', *program, cwd=folder)
    t.same('test: in the current folder', ran, 0, ran.code)
    os.remove(os.path.join(folder, 'a.db'))
    t.write(folder, 'plugpull.waivers', 'x\n')
    ran = t.run('test', '--', *program, cwd=folder)
    t.check(ran.code == 2 and not os.path.exists(os.path.join(folder, 'a.db')),
            'a bad file is refused before the program runs', ran, 'exit 2, no a.db', ran.err)
    os.remove(os.path.join(folder, 'plugpull.waivers'))
    t.run('record', '-o', 'x.trace', '--', *program, cwd=folder)
    t.write(folder, 'plugpull.waivers', f'x.trace@strict-posix history 1 {LATER} x\n')
    ran = t.run('explore', 'x.trace', '--require', 'durable', '--json', '-', cwd=folder)
    t.same('explore: in the current folder', ran, (0, 'x.trace@strict-posix'),
           (ran.code, ran.case()['id']))


def check_refused(t):
    for line, part in (('x', 'the oracle is missing'), (f'{ID} history 1 {LATER}', 'the reason'),
                       (f'{ID} history many {LATER} x', "'many'"),
                       (f'{ID} history 1 2099-02-29 x', 'no day 2099-02-29'),
                       (f'{ID} history 1 31.12.2099 x', 'YYYY-MM-DD'),
                       (f'{ID} history 1 {LATER} x y', "'y'"),
                       (f'{ID} histery 1 {LATER} x', "no oracle 'histery' (there are history, "),
                       (f'{ID} history 1 {LATER} "x', 'never closed'),
                       (f'{ID} history 1 {LATER} x\n{ID} history 2 {LATER} x', 'line'),
                       (b'\xff', 'UTF-8')):
        folder = t.scenario(LOSES)
        t.write(folder, 'plugpull.waivers', line)
        t.refused(f'the waiver {line}', t.run('run', 'f.sql', cwd=folder), 'plugpull.waivers:', part)
    folder = t.scenario(LOSES)
    os.mkdir(os.path.join(folder, 'plugpull.waivers'))
    t.refused('a folder of that name', t.run('run', 'f.sql', cwd=folder), 'plugpull.waivers')
    t.same('--list needs no waivers', None, 0, t.run('run', 'f.sql', '--list', cwd=folder).code)


def check_same(t):
    """Which day it is decides, and shows nowhere."""
    n = lost(t)
    texts = []
    for epoch in ('1000000000', '1500000000'):
        ran = waived(t, f'{ID} history {n} {LATER} x\n', env={'SOURCE_DATE_EPOCH': epoch})
        texts.append(json.dumps(ran.json()))
    t.same('another day, the same report', ran, texts[0], texts[1])


def check(t):
    for part in (check_waived, check_fails, check_behind, check_bound, check_cut, check_places, check_refused, check_same):
        t.part(part)
