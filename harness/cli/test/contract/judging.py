"""What decides about a trace beside the trace: holes in it, whose promises count (--ack),
invariants from a file (--invariant), and programs whose files are not only SQLite's (--check)."""
import os

import files
from damage import trace_of
from results import form
from scenarios import LOSES, ROWS


def sound_trace(t):
    """A trace that is durable, as bytes: out of the case that a lying disk leaves."""
    return trace_of(t, ROWS, '--model', 'lying-disk')


def check_holes(t):
    data = sound_trace(t)
    folder = t.folder()
    t.write(folder, 'a.trace', data)
    ran = t.run('explore', 'a.trace', '--require', 'durable', '--json', '-', cwd=folder)
    t.same('the trace without a hole is durable', ran, (0, 'held', 'durable'),
           (ran.code, ran.case()['verdict'], ran.case()['grade']))
    middle = len(files.Trace(data).operations) // 2
    for where, inode in ((0, 0), (middle, 0), (middle, 1)):
        hole = files.operation('hole', inode=inode, data=b'a write was not seen')
        holed = files.edit_trace(
            data, lambda p, old, h=hole, w=where: ([old] if old else []) + ([h] if p == w else []))
        t.write(folder, 'hole.trace', holed)
        for more in ((), ('--require', 'durable'), ('--depth', '2'),
                     ('--model', 'process-crash'), ('--representative',)):
            ran = t.run('explore', 'hole.trace', '--json', '-', *more, cwd=folder)
            form(t, f'hole: JSON {more}', ran, ran.out, 'explore')
            case = ran.case()
            t.same(f'a hole at {where} of inode {inode}: nothing is graded {more}', ran,
                   (4, 'inconclusive', None, False, 0, [],
                    f'the recording has a hole: a write was not seen (operation {where + 1})'),
                   (ran.code, case['verdict'], case['grade'], case['exhaustive'],
                    case['recoveries'], case['violations'], case['reason']))
        ran = t.run('explore', 'hole.trace', cwd=folder)
        t.has('a hole: said in the report', ran, 'a write was not seen', ran.out)
        ran = t.run('trace', 'show', 'hole.trace', cwd=folder)
        t.has('a hole: shown', ran, f'{where + 1} hole {"inode=1 " if inode else ""}'
              'why="a write was not seen"', ran.out)
        ran = t.run('trace', 'stat', 'hole.trace', cwd=folder)
        t.has('a hole: counted', ran, '  hole              1\n', ran.out)


def told(data, word):
    """The same trace, told by an output or a mark behind each acknowledgement and not by it."""
    def change(_, payload):
        if payload and files.KINDS[payload[1]] == 'ack':
            return [files.operation(word, process=9, data=b'done\n' if word == 'output' else b'')]
        return [payload] if payload else []
    return files.edit_trace(data, change)


def check_ack(t):
    lossy = trace_of(t, LOSES)
    folder = t.folder()
    for name, data in (('lock', lossy), ('output', told(lossy, 'output')),
                       ('mark', told(lossy, 'ack')), ('silent', told(lossy, 'mark'))):
        t.write(folder, name + '.trace', data)

    def explore(trace, *args):
        ran = t.run('explore', trace + '.trace', '--json', '-', *args, cwd=folder)
        form(t, f'explore {trace} {args}: JSON', ran, ran.out, 'explore')
        return ran, ran.case()

    def says(ran, case, part, what):
        t.check(any(part in n for n in case.get('notes', [])), f'{what}: a note says whose promises '
                'they are', ran, part, case.get('notes'))

    for trace, word, part in (('output', 'output', 'outputs'), ('mark', 'mark', 'marks'),
                              ('silent', 'lock', 'lock protocol')):
        ran, case = explore(trace, '--ack', word, '--require', 'durable')
        t.same(f'--ack {word}: what was told can be lost', ran, (1, 'consistent', 3),
               (ran.code, case['grade'], case['lost_acked_max']))
        says(ran, case, part, f'--ack {word}')
        token = case['violations'][0]['token']
        again = t.run('replay', token, '--json', '-', cwd=folder)
        t.same(f'--ack {word}: replay says the same', again, (1, case['violations'][0]['message']),
               (again.code, again.case()['violations'][0]['message']))
    for trace, word in (('silent', 'output'), ('silent', 'mark'), ('output', 'mark'),
                        ('mark', 'output')):
        ran, case = explore(trace, '--ack', word)
        t.same(f'--ack {word} of {trace}: nothing was promised, so nothing is held', ran,
               (4, 'inconclusive', f'no {word} stands behind a commit, so nothing was promised'),
               (ran.code, case['verdict'], case['reason']))
    for trace, part in (('mark', 'marks'), ('output', 'lock protocol')):
        ran, case = explore(trace)
        says(ran, case, part, f'{trace} without --ack')
    ran, case = explore('lock')
    t.check(not any('promises' in n for n in case.get('notes', [])),
            'exact acknowledgements need no note', ran, 'no note', case.get('notes'))
    ran, case = explore('lock', '--ack', 'lock')
    says(ran, case, 'lock protocol', '--ack lock over exact ones')
    t.refused('--ack nonsense', t.run('explore', 'lock.trace', '--ack', 'exact', cwd=folder),
              '--ack', 'exact')


def check_invariant(t):
    lossy = trace_of(t, LOSES)
    folder = t.folder()
    t.write(folder, 'a.trace', lossy)

    def explore(text, *args):
        t.write(folder, 'i.sql', text)
        ran = t.run('explore', 'a.trace', '--invariant', 'i.sql', '--json', '-', *args, cwd=folder)
        form(t, f'--invariant {text!r}: JSON', ran, ran.out, 'explore')
        return ran, ran.case()

    def found(case):
        return [(v['grade'], v['message']) for v in case['violations']
                if v['oracle'] == 'invariant']

    ran, case = explore('-- @invariant "at most three"\nSELECT 1 FROM t LIMIT 1 OFFSET 3;\n')
    t.same('--invariant: one that is kept', ran, (0, 'held', [], []),
           (ran.code, case['verdict'], found(case), case['not_applicable']))
    broken = 'SELECT count(*) FROM t HAVING count(*) = 1;\n'
    for text, name in (('-- @invariant "never one"\n' + broken, 'never one'),
                       ('SELECT 1 WHERE 0;\n' + broken, broken.strip()),
                       ('-- @open\nCREATE TEMP VIEW v AS SELECT count(*) AS n FROM t;\n'
                        '-- @invariant "never one"\nSELECT n FROM v WHERE n = 1;\n', 'never one')):
        ran, case = explore(text)
        t.check(ran.code == 1 and case['verdict'] == 'violated' and len(found(case)) == 1 and
                found(case)[0][0] == 'corrupt' and f"'{name}'" in found(case)[0][1],
                '--invariant: one that is broken', ran, f'corrupt, with {name!r}', case)
        token = next(v['token'] for v in case['violations'] if v['oracle'] == 'invariant')
        t.write(folder, 'i.sql', 'SELECT 1 WHERE 0;\n')
        again = t.run('replay', token, cwd=folder)
        t.check(again.code == 1 and f"'{name}'" in again.out,
                '--invariant: replay asks the same', again, name, again.out)
    ran, case = explore('SELECT * FROM nowhere;\n')
    t.same('--invariant: a table that is never there applies to nothing', ran,
           (4, 'inconclusive', ['invariant']),
           (ran.code, case['verdict'], [n['oracle'] for n in case['not_applicable']]))
    for text, parts in (('SELECT 1;\nDROP TABLE t;\n', ('i.sql:2:', 'query')),
                        ('-- @client a\nSELECT 1;\n', ('i.sql:1:', '@client')),
                        ('-- nothing\n', ('i.sql:1:', 'no query')),
                        ('SELECT 1\n', ('i.sql:1:',))):
        t.write(folder, 'i.sql', text)
        t.refused(f'--invariant {text!r}', t.run('explore', 'a.trace', '--invariant', 'i.sql',
                                                 cwd=folder), '--invariant', *parts)
    t.refused('--invariant: no such file', t.run('explore', 'a.trace', '--invariant', 'none.sql',
                                                 cwd=folder), '--invariant', 'none.sql')


def with_notes(data):
    """The same trace of a program that then writes two lines into a file of its own, which it never
    syncs, and says each of them."""
    trace = files.Trace(data)
    folder = next(iter(trace.base)).rsplit('/', 1)[0]
    name = len(trace.names)
    inode = 1 + len(trace.base) + trace.count('create')

    def change(position, payload):
        if position == 0:
            return []
        if position == len(trace.operations):
            return [payload, files.operation('create', inode=inode, name=name),
                    files.operation('write', inode=inode, data=b'one\n'),
                    files.operation('output', data=b'one\n'),
                    files.operation('write', inode=inode, offset=4096, data=b'two\n'),
                    files.operation('output', data=b'two\n')]
        return [payload]
    return files.edit_trace(data, change, [f'{folder}/app/notes'])


TOLD = 'while read -r l; do grep -aqs "$l" app/notes || { echo "lost $l in $PWD"; exit 3; }; done'
ROWS_THREE = 'PRAGMA integrity_check; SELECT count(*) FROM t;'


def check_check(t):
    folder = t.folder()
    t.write(folder, 'a.trace', sound_trace(t))
    t.write(folder, 'notes.trace', with_notes(sound_trace(t)))

    def explore(trace, command, *args):
        ran = t.run('explore', trace + '.trace', '--check', command, '--json', '-', *args,
                    cwd=folder)
        form(t, f'--check {command!r}: JSON', ran, ran.out, 'explore', ('sampled',))
        return ran, ran.case()

    ran, case = explore('a', 'test -s main.db')
    t.check(ran.code == 0 and case['verdict'] == 'held' and case['sampled'] > 10 and
            case['exhaustive'] is False and case['grade'] == 'durable' and
            any(n.startswith('sampled: ') and str(case['sampled']) in n for n in case['notes']),
            '--check: nothing to object to, and only a sample', ran, 'held, sampled', case)
    again = t.run('explore', 'a.trace', '--check', 'test -s main.db', '--json', '-', cwd=folder)
    t.same('--check: the same bytes again', again, ran.out, again.out)
    ran = t.run('explore', 'a.trace', '--check', 'test -s main.db', cwd=folder)
    t.check(' sampled ' in ran.out and 'exhaustive' not in ran.out,
            '--check: the report says sampled', ran, 'sampled', ran.out)

    ran, case = explore('notes', TOLD)
    found = [v for v in case['violations'] if v['oracle'] == 'check']
    t.same('--check: what was told and lost', ran,
           (1, 'violated', 'corrupt', [('corrupt', 'the command of --check objects: exit status 3: '
                                        'lost one in $PLUGPULL_STATE')]),
           (ran.code, case['verdict'], case['grade'],
            [(v['grade'], v['message']) for v in found]))
    token = found[0]['token']
    ran = t.run('replay', token, '--json', '-', cwd=folder)
    form(t, '--check: replay: JSON', ran, ran.out, 'replay')
    t.same('--check: replay', ran, (1, 'violated', [(found[0]['message'], token)]),
           (ran.code, ran.case()['verdict'],
            [(v['message'], v['token']) for v in ran.case()['violations']]))
    ran = t.run('replay', token, cwd=folder)
    t.check(ran.code == 1 and 'app/notes' in ran.out, '--check: replay shows what was lost', ran,
            'the name of the file', ran.out)
    path = f'.plugpull/cases/{token}.ppcase'
    t.refused("--check: a stranger's case runs nothing", t.run('replay', path, cwd=folder),
              path, 'grep')
    ran, case = explore('notes', TOLD, '--model', 'process-crash')
    t.same('--check: processes that die lose nothing', ran, (0, 'held'),
           (ran.code, case['verdict']))

    for command, says in (('false', 'exit status 1'), ('no-such-command', 'exit status 127')):
        ran, case = explore('a', command)
        t.check(ran.code == 4 and case['verdict'] == 'inconclusive' and case['sampled'] == 1 and
                len(case['not_applicable']) == 1 and case['not_applicable'][0]['oracle'] == 'check'
                and says in case['not_applicable'][0]['reason'],
                f'--check {command}: objects to what the program left: not applicable', ran,
                'exit 4, not applicable', case)
    recoveries = explore('a', 'true')[1]['recoveries']
    ran, case = explore('a', 'true', '--budget', f'{recoveries + 5}r')
    t.same('--check: a budget ends it', ran, (4, 'inconclusive', 5),
           (ran.code, case['verdict'], case['sampled']))
    for database, command in (('main.db', f'sqlite3 main.db "{ROWS_THREE}" | grep -qx ok'),):
        ran, case = explore('a', command)
        t.same(f'--check: the sqlite3 shell recovers {database} in every state', ran, (0, 'held'),
               (ran.code, case['verdict']))
    t.same('--check: nothing is left', None, [],
           [n for n in os.listdir(t.environment['TMPDIR']) if n.startswith('plugpull-check')])


def check(t):
    t.part(check_check)
    t.part(check_invariant)
    t.part(check_ack)
    t.part(check_holes)
