"""`matrix`: which cells there are, that each is what `run` says of it, the tables, the exit codes.

That the grades are right is tested elsewhere."""
import json
import os
import re

from damage import interrupt
from results import REPORT, form
from scenarios import ALLOWED, ROWS

MODES = ['delete', 'truncate', 'persist', 'memory', 'off', 'wal']
LEVELS = ['extra', 'full', 'normal', 'off']
CELLS = [(m, s) for m in MODES for s in LEVELS]
# Pragmas, axes and expectations that a matrix replaces or passes over.
OWN = ROWS + '-- @matrix synchronous=off journal_mode=wal,delete\n-- @expect torn\n' \
    '-- @require durable\n'
LONG = '-- @scenario long\n-- @pragma wal_autocheckpoint=8\n' \
    '-- @workload store.archival batches=400 events=5\n'


def config(case):
    return case['config'].get('journal_mode'), case['config'].get('synchronous')


def tables(text):
    """{title: {(row, column): cell}} of what a matrix printed, and the other lines by title."""
    grids, others, title, head = {}, {}, None, None
    for line in text.splitlines():
        words = line.split()
        if line and not line.startswith(' '):
            title, head = line, None
            grids[title], others[title] = {}, []
        elif words and head is None:
            head = words
        elif words and words[0] in MODES:
            cells = re.split(r'  +', line.strip())[1:]
            grids[title].update({(words[0], c): v for c, v in zip(head, cells)})
        elif words:
            others[title].append(line.strip())
    return grids, others


def expected_cell(case):
    if case['verdict'] in ('skipped', 'error'):
        return case['verdict']
    if case['grade'] is None:
        return '-'
    lost = f' {case["lost_acked_max"]}' if case['grade'] == 'consistent' else ''
    open_ = case['verdict'] == 'inconclusive' or \
        (not case['exhaustive'] and case['grade'] != 'corrupt')
    return case['grade'] + lost + '*' * open_ + '!' * (case['verdict'] == 'violated')


def both(t, text, *args, **more):
    """A matrix as JSON and as text: (ran, its JSON, the cells, the other lines, of one table)."""
    folder = t.scenario(text)
    ran = t.run('matrix', 'f.sql', '--json', 'o.json', *args, cwd=folder, **more)
    with open(os.path.join(folder, 'o.json'), encoding='utf-8') as f:
        written = f.read()
    form(t, f'matrix {args}: JSON', ran, written, 'matrix', ('seconds',))
    result = json.loads(written)
    grids, others = tables(ran.out)
    title = next((g for g in grids if g.startswith('f@')), None)
    return ran, result, grids.get(title), others.get(title)


def check_cells(t):
    folder = t.scenario(OWN)
    ran = t.run('matrix', 'f.sql', '--json', '-', cwd=folder)
    form(t, 'matrix: JSON', ran, ran.out, 'matrix')
    result = ran.json()
    t.same('matrix: nothing is required', ran, (0, 'held', {(None, None, 'held')}),
           (ran.code, result['verdict'],
            {(c['required'], c['expected'], c['verdict']) for c in result['cases']}))
    t.same('matrix: every mode at every level, in order', ran, CELLS,
           [config(c) for c in result['cases']])
    t.same('matrix: the same bytes again', ran, ran.out,
           t.run('matrix', 'f.sql', '--json', '-', '--jobs', '3', cwd=folder).out)
    listed = t.run('matrix', 'f.sql', '--list', cwd=folder)
    t.same('matrix --list', listed, [c['id'] for c in result['cases']], listed.out.splitlines())
    t.same('matrix: ids', listed, f'f@strict-posix[journal_mode={MODES[0]},synchronous=extra]',
           listed.out.splitlines()[0])
    grades = {c['grade'] for c in result['cases']}
    t.check({'durable', 'consistent'} < grades, 'matrix: grades differ', ran, 'several', grades)
    other = ROWS + '-- @matrix journal_mode=wal,delete,off synchronous=normal,extra\n'
    real = t.run('run', 'f.sql', '--json', '-', cwd=t.scenario(other)).json()['cases']
    mine = {c['id']: c for c in result['cases']}
    for case in real:
        same = mine.get(case['id'], {})
        t.same(f'matrix: {case["id"]} is what `run` says', ran,
               [case[k] for k in ('grade', 'lost_acked_max', 'states', 'recoveries', 'violations')],
               [same.get(k) for k in
                ('grade', 'lost_acked_max', 'states', 'recoveries', 'violations')])


def check_tables(t):
    ran, result, cells, lines = both(t, OWN)
    cases = {config(c): c for c in result['cases']}
    t.same('matrix: the table', ran, {k: expected_cell(c) for k, c in cases.items()}, cells)
    losing = [c for c in result['cases'] if c['violations']]
    lost = {re.split(r'  +', line)[0]: line for line in lines}
    t.same('matrix: a line for each cell that loses something, and no other', ran,
           ['/'.join(config(c)) for c in losing], list(lost))
    for case in losing:
        line, worst = lost.get('/'.join(config(case)), ''), case['violations'][0]
        t.check(worst['message'] in line and line.endswith(f'plugpull replay {worst["token"]}'),
                'matrix: the worst finding, and its replay', ran, worst, line)
    folder = t.scenario(OWN)
    first = t.run('matrix', 'f.sql', cwd=folder)
    token = first.out.rpartition('plugpull replay ')[2].split()[0]
    t.code('matrix: the replay finds it again', t.run('replay', token, cwd=folder), 1)
    ran, result, _, lines = both(t, OWN, '-v')
    t.same('matrix -v: all findings', ran, sum(len(c['violations']) for c in result['cases']),
           sum('plugpull replay' in line for line in lines))
    ran = t.run('matrix', 'f.sql', '-q', cwd=t.scenario(OWN))
    t.same('matrix -q: nothing failed', ran, (0, ''), (ran.code, ran.out))
    ran = t.run('matrix', 'f.sql', '--model', 'strict-posix,process-crash', cwd=t.scenario(
        ROWS + '-- @matrix cache_size=10,20\n'))
    t.same('matrix: a table for each model and choice of the other axes', ran,
           [f'f@{m}[cache_size={c}]: rows one by one' for m in ('strict-posix', 'process-crash')
            for c in (10, 20)], [g for g in tables(ran.out)[0] if g.startswith('f@')])
    ran, result, cells, lines = both(t, ROWS, '--set', 'model.sector=512', '--set',
                                     'journal_mode=wal', '--set', 'synchronous=normal')
    t.same('matrix: --set picks a row and a column', ran, [('wal', 'normal')], list(cells))
    t.same('matrix: notes stand below', ran,
           [f'note: {n}' for c in result['cases'] for n in c['notes']], lines[:1])


def check_exit_codes(t, no_wal):
    def wal(*args, text=ALLOWED, **more):
        return both(t, text, '--set', 'journal_mode=wal', *args, **more)

    ran, result, cells, lines = wal('--require', 'durable')
    t.same('matrix --require: 1 when a cell is below', ran,
           (1, 'violated', {'durable'}, {None}),
           (ran.code, result['verdict'], {c['required'] for c in result['cases']},
            {c['expected'] for c in result['cases']}))
    t.same('matrix --require: marked', ran, ('durable', 'consistent 3!', True),
           (cells['wal', 'full'], cells['wal', 'off'], '! durable is required' in lines))
    ran = wal('--require', 'consistent')[0]
    t.code('matrix --require: 0 when none is', ran, 0)
    ran, result, cells, lines = wal('--budget', '120r')
    t.same('matrix --budget: 4', ran, (4, 'inconclusive', '-'),
           (ran.code, result['verdict'], cells['wal', 'off']))
    t.check([c['verdict'] for c in result['cases']].count('held') in (1, 2) and
            any(v.endswith('*') for v in cells.values()) and
            any(line.startswith('* at best') for line in lines) and
            any(re.match(r'inconclusive .*wal/off: budget', line) for line in lines),
            'matrix --budget: marked, and said', ran, 'a cell with *', (cells, lines))
    ran = wal('--set', 'synchronous=full', '--budget', '40r', '--require', 'durable')[0]
    t.code('matrix --require: 4 where what was seen held', ran, 4)
    ran, result, cells, lines = both(t, ROWS, '--set', 'synchronous=full', env={
        'LD_PRELOAD': no_wal})
    t.same('matrix: what is impossible is skipped', ran, (0, 'skipped'), (ran.code,
                                                                          cells['wal', 'full']))
    t.check(any(line.startswith('skipped wal/full: ') for line in lines),
            'matrix: with a reason', ran, 'skipped wal/full: ...', lines)
    ran = wal(text=ROWS, env={'LD_PRELOAD': no_wal})[0]
    t.code('matrix: all skipped', ran, 4)
    ran = t.run('matrix', 'f.sql', cwd=t.scenario(ROWS.replace('VALUES (:i)', 'NONE')))
    t.refused('matrix: SQL that fails', ran, 'f.sql:')
    ran = t.run('matrix', 'f.sql', '--keep-going', '--case', '*wal*', cwd=t.scenario(
        ROWS.replace('VALUES (:i)', 'NONE')))
    cells = list(tables(ran.out)[0].values())[0]
    t.same('matrix --keep-going: 3', ran, (3, {'error'}), (ran.code, set(cells.values())))
    for args in (['--set', 'journal_mode=ram'], ['--set', 'synchronous=some'], ['--model', 'm']):
        t.refused(f'matrix {args}', t.run('matrix', 'f.sql', *args, cwd=t.scenario(ROWS)), args[1]
                  .rpartition('=')[2])
    t.refused('matrix without a path', t.run('matrix'), '`matrix` needs PATH')


def check_selection(t):
    folder = t.scenario(ROWS)
    everything = t.run('matrix', 'f.sql', '--list', cwd=folder).out.splitlines()
    parts = [t.run('matrix', 'f.sql', '--list', '--shard', f'{i}/3', cwd=folder).out.splitlines()
             for i in (1, 2, 3)]
    t.same('matrix --shard', None, sorted(everything), sorted(sum(parts, [])))
    ran = t.run('matrix', 'f.sql', '--case', '*synchronous=full]', '--report', 'out', cwd=folder)
    cells = list(tables(ran.out)[0].values())[0]
    t.same('matrix --case: one column', ran, [(m, 'full') for m in MODES], list(cells))
    t.same('matrix --report', ran, REPORT, sorted(os.listdir(os.path.join(folder, 'out'))))
    with open(os.path.join(folder, 'out', 'result.json'), encoding='utf-8') as f:
        form(t, 'matrix --report: JSON', ran, f.read(), 'matrix')
    path = ran.out.rpartition('plugpull replay ')[2].split()[0]
    t.check(path.startswith('out/cases/'), 'matrix --report: the replay is from there', ran,
            'out/cases/...', path)
    t.code('matrix --report: it replays', t.run('replay', path, cwd=folder), 1)
    ran = both(t, ROWS, '--set', 'journal_mode=wal', '--depth', '2', '--timing', '--seed', '3')[0]
    t.check(ran.code == 0 and 'note: crashes during recovery' in ran.out and
            ran.out.rstrip().endswith(' s') and 'seed 3' in ran.out,
            'matrix --depth --timing --seed', ran, 'a note, seconds, seed 3', ran.out)


def check_interrupt(t):
    folder = t.scenario(LONG)
    ran, seconds, left = interrupt(t, ['matrix', 'f.sql', '--json', 'o.json', '--set',
                                       'journal_mode=wal'], folder, '')
    t.same('matrix, SIGINT: 130, soon, nobody left', ran, (130, True, []),
           (ran.code, seconds < 5, left))
    t.check('interrupted, so far' in ran.out and ran.out.startswith('f@strict-posix'),
            'matrix, SIGINT: the table as far as it is known', ran, 'a table', ran.out)
    with open(os.path.join(folder, 'o.json'), encoding='utf-8') as f:
        t.same('matrix, SIGINT: JSON says so', ran, True, json.load(f).get('interrupted'))


def check_own_pragmas(t):
    """A cell whose settings the scenario's own SQL replaces says so."""
    text = '-- @scenario own\n-- @setup\nPRAGMA journal_mode = wal;\nCREATE TABLE t(x);\n' \
        '-- @client c\nPRAGMA main.synchronous(off);\nINSERT INTO t VALUES (1);\n'
    ran, _, _, _ = both(t, text)
    t.check('line 3 of the scenario sets journal_mode itself' in ran.out and
            'line 6 of the scenario sets synchronous itself' in ran.out, 'own pragmas are noted', ran,
            'two notes', ran.out)
    plain, _, _, _ = both(t, OWN)
    t.check('itself' not in plain.out, '... and only then', plain, 'no note', plain.out)
    folder = t.scenario(OWN)
    ran = t.run('matrix', 'f.sql', '--report', 'out', cwd=folder)
    with open(os.path.join(folder, 'out', 'summary.md'), encoding='utf-8') as f:
        summary = f.read()
    table = ran.out.split('\n')[:3]
    t.check(all('    ' + line in summary for line in table), 'the tables in summary.md', ran, table,
            summary)


def check(t, no_wal):
    t.part(check_cells)
    t.part(check_tables)
    t.part(check_exit_codes, no_wal)
    t.part(check_selection)
    t.part(check_interrupt)
    t.part(check_own_pragmas)
