"""Bad input, damaged traces, full disks, interrupts: one line, the right code, and nothing
half-written."""
import glob
import os
import resource
import signal
import struct
import subprocess
import time

import files
from commands import LONG
from results import form, losing
from scenarios import ALLOWED, LOSES, ROWS
from tool import SECONDS_MAX, Ran, processes_of_session


def trace_of(t, text, *args):
    """The trace that a scenario records, as bytes, out of a case file."""
    _, _, _, path = losing(t, text, *args)
    with open(path, 'rb') as f:
        return files.split_case(f.read())[1]


def without_acks(data, trace):
    """The same trace as if nobody had said when a commit was promised."""
    out = data[:trace.records[0][0]]
    moved = {}  # positions of operations
    for at, kind in trace.records:
        payload = bytearray(data[at + 8:at + 8 + struct.unpack_from('<I', data, at)[0]])
        if kind == files.OPERATION:
            word = files.KINDS[payload[1]]
            if word == 'ack':
                moved[len(moved) + 1] = None
                continue
            if word in ('sync-end', 'dirsync-end'):
                begin = moved[struct.unpack_from('<Q', payload, 24)[0]]
                struct.pack_into('<Q', payload, 24, begin)
            moved[len(moved) + 1] = 1 + sum(1 for p in moved.values() if p)
        elif kind == files.END:
            struct.pack_into('<Q', payload, 4, sum(1 for p in moved.values() if p))
        payload = bytes(payload)
        out += struct.pack('<II', len(payload), files.xxh32(payload)) + payload
    return out


def check_explore(t):
    data = trace_of(t, LOSES)
    trace = files.Trace(data)
    folder = t.folder()
    t.write(folder, 'a.trace', data)

    ran = t.run('explore', 'a.trace', '--json', '-', cwd=folder)
    form(t, 'explore: JSON', ran, ran.out, 'explore')
    again = t.run('explore', 'a.trace', '--json', '-', cwd=folder)
    t.same('explore: the same bytes again', again, ran.out, again.out)
    case = ran.case()
    t.same('explore: consistent is required and enough', ran,
           (0, 'held', 'consistent', 'consistent', 'a.trace', 'a.trace@strict-posix', 3),
           (ran.code, case['verdict'], case['grade'], case['required'], case['scenario'],
            case['id'], case['commits']))
    t.check(case['violations'] and os.path.isfile(os.path.join(
        folder, '.plugpull', 'cases', case['violations'][0]['token'] + '.ppcase')),
            'explore: a finding has a case file', ran, 'a token', case['violations'])
    t.code('explore: its token can be replayed',
           t.run('replay', case['violations'][0]['token'], cwd=folder), 1)
    t.code('explore --require durable', t.run('explore', 'a.trace', '--require', 'durable',
                                              cwd=folder), 1)
    ran = t.run('explore', 'a.trace', '--model', 'process-crash,lying-disk', '--json', '-',
                '--seed', '5', cwd=folder)
    t.same('explore --model A,B --seed', ran, (['process-crash', 'lying-disk'], 5),
           ([c['model'] for c in ran.json()['cases']], ran.json()['seed']))
    ran = t.run('explore', 'a.trace', '--set', 'model.sector=512', '--json', '-', cwd=folder)
    t.same('explore --set', ran, ('a.trace@strict-posix[model.sector=512]', True),
           (ran.case()['id'], int(ran.case()['states']) > int(case['states'])))
    t.code('explore --budget', t.run('explore', 'a.trace', '--budget', '5r', cwd=folder), 4)
    ran = t.run('explore', 'a.trace', '--report', 'out', '-q', cwd=folder)
    t.same('explore --report -q', ran, (0, '', True),
           (ran.code, ran.out, os.path.isfile(os.path.join(folder, 'out', 'result.json'))))
    for args, parts in ((('--set', 'no_such=1'), ('--set', 'no_such')),
                        (('--set', 'workload.batches=1'), ('--set', 'workload')),
                        (('--set', 'model.sector=7'), ('--set', '7')),
                        (('--model', 'floppy'), ('--model', 'floppy')),
                        (('--report', 'none/out'), ('none/out',))):
        t.refused(f'explore {args}', t.run('explore', 'a.trace', *args, cwd=folder), *parts)

    t.write(folder, 'silent.trace', without_acks(data, trace))
    ran = t.run('explore', 'silent.trace', '--json', '-', cwd=folder)
    case = t.get('explore: without acknowledgements', ran, ran.case) or {}
    t.same('explore: without acknowledgements the lock protocol promises, and a note says so', ran,
           (0, 'consistent', 3, True),
           (ran.code, case.get('grade'), case.get('lost_acked_max'),
            any('lock' in n for n in case.get('notes', []))))


def check_traces(t):
    data = trace_of(t, LOSES.replace('repeat=3', 'repeat=1'))
    trace = files.Trace(data)
    folder = t.folder()
    t.write(folder, 'a.trace', data)
    ran = t.run('trace', 'stat', 'a.trace', cwd=folder)
    t.check(ran.code == 0 and ran.err == '' and str(len(trace.operations)) in ran.out,
            'trace stat', ran, f'{len(trace.operations)} operations', ran.out)
    ran = t.run('trace', 'show', 'a.trace', cwd=folder)
    lines = ran.out.splitlines()
    t.same('trace show: the text twin of docs/trace.md', ran,
           (0, f'trace 1 sector={trace.sector} characteristics=0x{trace.characteristics:x} '
            f'producer="{trace.producer}"', [o[0] for o in trace.operations],
            f'end operations={len(trace.operations)}'),
           (ran.code, lines[0], [line.split()[1] for line in lines if line[0].isdigit()],
            lines[-1]))

    # Torn: every cut behind the base leaves a trace that says so.
    base_end = next(at for at, kind in trace.records if kind == files.BASE_END)
    ends = [at for at, kind in trace.records if kind == files.OPERATION]
    end = trace.records[-1][0]
    for cut in (end, end + 5, len(data) - 1, ends[-1] + 9, ends[len(ends) // 2], base_end + 9):
        t.write(folder, 'torn.trace', data[:cut])
        ran = t.run('trace', 'stat', 'torn.trace', cwd=folder)
        whole = sum(1 for at in ends if at + 8 + struct.unpack_from('<I', data, at)[0] <= cut)
        t.check(ran.code == 0 and 'torn' in ran.err and len(ran.err.splitlines()) == 1 and
                f'operations          {whole}\n' in ran.out, f'torn at byte {cut}: cut and said',
                ran, f'{whole} operations, a line on stderr', (ran.out, ran.err))
    t.write(folder, 'torn.trace', data[:end])
    ran = t.run('explore', 'torn.trace', '--json', '-', cwd=folder)
    t.check(ran.code == 4 and 'torn' in ran.err and not ran.case()['exhaustive'] and
            'torn' in ran.case()['reason'] and any('torn' in n for n in ran.case()['notes']),
            'explore: a torn trace is never held', ran, 'exit 4, said and noted', ran.out)
    t.code('explore: a torn trace can be violated',
           t.run('explore', 'torn.trace', '--require', 'durable', cwd=folder), 1)
    preallocated = data[:end] + bytes(4096)
    t.write(folder, 'torn.trace', preallocated)
    t.code('explore: preallocated and torn', t.run('explore', 'torn.trace', cwd=folder), 4)

    def flip(at, bit=1):
        return data[:at] + bytes([data[at] ^ bit]) + data[at + 1:]

    middle = ends[len(ends) // 2]
    damaged = [(f'cut at {n}', data[:n]) for n in (0, 1, 7, 12, 27, 30, base_end)]
    damaged += [(f'bit {at}', flip(at)) for at in
                (0, 5, 12, 16, 20, 30, base_end + 8, middle + 4, middle + 8, middle + 12,
                 end + 4, end + 8, len(data) - 1)]
    damaged += [('of the future', data[:8] + struct.pack('<I', 7) + data[12:]),
                ('longer', data + b'more'), ('a database', b'SQLite format 3\0' + bytes(4080)),
                ('text', b'-- @scenario x\n'), ('zeros', bytes(512))]
    for name, content in damaged:
        t.write(folder, 'bad.trace', content)
        for command in (('explore',), ('trace', 'show'), ('trace', 'stat')):
            ran = t.run(*command, 'bad.trace', cwd=folder)
            t.refused(f'{" ".join(command)}: {name}', ran, 'bad.trace: ',
                      *(['format 7 is newer'] if name == 'of the future' else []))
    for name in ('none.trace', '.'):
        for command in (('explore',), ('trace', 'show'), ('trace', 'stat')):
            t.refused(f'{command} {name}', t.run(*command, name, cwd=folder), name)
    t.same('explore: nothing is left of what was refused', None, [],
           glob.glob(folder + '/**/*.tmp*', recursive=True) + glob.glob(folder + '/out*'))


def check_files(t):
    folder = t.scenario(ROWS)
    t.write(folder, 'binary.sql', bytes(range(256)) * 20)
    t.write(folder, 'nul.sql', ROWS.encode() + b'\0')
    t.write(folder, 'latin.sql', ROWS.encode() + b'-- \xe9\n')
    t.write(folder, 'empty.sql', '')
    t.write(folder, 'large.sql', ROWS.encode() + b'-- blank\n' * 600000)
    os.mkdir(os.path.join(folder, 'nothing'))
    for name in ('none.sql', 'binary.sql', 'nul.sql', 'latin.sql', 'empty.sql', 'large.sql',
                 'nothing', 'f.sql/x'):
        for command in ('run', 'kill'):
            ran = t.run(command, name, '--json', 'o.json', '--report', 'out', cwd=folder)
            t.refused(f'{command} {name}', ran, name)
    ran = t.run('run', 'f.sql', 'none.sql', '--json', 'o.json', '--report', 'out', cwd=folder)
    t.refused('a mistake in the last file costs nothing', ran, 'none.sql')
    t.same('nothing is written for bad input', ran, [],
           [n for n in os.listdir(folder) if n in ('o.json', 'out', '.plugpull')])
    ran = t.run('run', 'f.sql', '--json', 'none/o.json', cwd=folder)
    t.same('--json: a folder that is not there', ran, (2, True),
           (ran.code, '--json' in ran.err and 'none/o.json' in ran.err))


def few_bytes():
    """The child may write files of 16 KiB: a disk that is full, without being root."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))


def check_full_disk(t):
    for args in (['run', 'f.sql', '--json', '/dev/full'], ['run', 'f.sql', '--json', '/dev/full',
                                                           '-q']):
        for text in (ROWS, LOSES):
            ran = t.run(*args, cwd=t.scenario(text))
            t.same('full: --json FILE', ran, (2, True),
                   (ran.code, '--json' in ran.err and '/dev/full' in ran.err))
    case_folder, _, token, _ = losing(t)
    for what, args in (('run', ['run', 'f.sql']), ('run --list', ['run', 'f.sql', '--list']),
                       ('run --json -', ['run', 'f.sql', '--json', '-']), ('help', ['--help']),
                       ('version', ['--version']), ('list', ['list', 'models']),
                       ('trace show', ['trace', 'show', token]), ('replay', ['replay', token])):
        with open('/dev/full', 'wb') as full:
            ran = t.run(*args, cwd=case_folder, stdout=full)
        t.check(ran.code == 2 and len(ran.err.splitlines()) == 1 and 'output' in ran.err,
                f'full: stdout of {what}', ran, 'exit 2 and a line', (ran.code, ran.err))

    for what, args in (('cases', ['run', 'f.sql']), ('report', ['run', 'f.sql', '--report', 'out'])):
        folder = t.scenario(LOSES)
        ran = t.run(*args, cwd=folder, before=few_bytes)
        t.same(f'full: {what}', ran, (2, True, ['f.sql']),
               (ran.code, 'ppcase' in ran.err, os.listdir(folder)))
    folder = t.scenario(LOSES)
    t.run('run', 'f.sql', '--report', 'out', '--set', 'synchronous=full', cwd=folder)
    before = os.stat(os.path.join(folder, 'out', 'result.json'))
    ran = t.run('run', 'f.sql', '--report', 'out', cwd=folder, before=few_bytes)
    t.same('full: the older report stays', ran, (2, before.st_ino, ['f.sql', 'out']),
           (ran.code, os.stat(os.path.join(folder, 'out', 'result.json')).st_ino,
            sorted(os.listdir(folder))))

    folder = t.scenario(LOSES)
    small = os.path.join(folder, 'small')
    os.mkdir(small)
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=20k', 'none', small],
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                      check=False).returncode != 0:
        return  # not root, or no right to mount: RLIMIT_FSIZE above has to do
    try:
        for args in (['--report', 'small/out'], ['--json', 'small/o.json', '--report', 'small/out']):
            ran = t.run('run', 'f.sql', *args, cwd=folder)
            t.same(f'full disk: {args}', ran, (2, [], True),
                   (ran.code, os.listdir(small), 'space' in ran.err))
        ran = t.run('run', '../f.sql', cwd=small)
        t.same('full disk: cases', ran, (2, []), (ran.code, os.listdir(small)))
        t.write(small, 'filler', bytes(18000))
        ran = t.run('run', 'f.sql', '--set', 'synchronous=full', '--json', 'small/o.json',
                    cwd=folder)
        t.code('full disk: a small JSON fits', ran, 0) if os.path.exists(
            os.path.join(small, 'o.json')) else t.same('full disk: --json', ran, (2, ['filler']),
                                                       (ran.code, os.listdir(small)))
    finally:
        subprocess.run(['umount', small], check=False)


def interrupt(t, args, cwd, seen, number=signal.SIGINT, whole_group=True, times=1):
    """Starts a command, waits until `seen` is on its stdout (or 0.5 s), interrupts it.

    Returns (Ran, seconds it took to end, processes that are left)."""
    out_path = os.path.join(t.folder(), 'stdout')
    with open(out_path, 'wb') as out:
        process = t.popen(args, cwd, stdout=out)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with open(out_path, 'rb') as f:
            if seen and seen.encode() in f.read():
                break
        time.sleep(0.02)
        if not seen and time.monotonic() > deadline - 19.5:
            break
    time.sleep(0.1)
    start = time.monotonic()
    for _ in range(times):
        try:
            (os.killpg if whole_group else os.kill)(process.pid, number)
        except ProcessLookupError:
            pass
        time.sleep(0.01)
    try:
        _, err = process.communicate(timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        _, err = process.communicate()
    seconds = time.monotonic() - start
    left = processes_of_session(process.pid)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    with open(out_path, 'rb') as f:
        text = f.read().decode('utf-8', 'replace')
    command = f'(cd {cwd} && plugpull {" ".join(args)}), signal {number}'
    return Ran(command, process.returncode, text, err.decode('utf-8', 'replace')), seconds, left


def check_interrupt(t):
    folder = t.scenario(LONG, 'b.sql', t.scenario(LOSES, 'a.sql'))
    t.scenario(ROWS, 'c.sql', folder)
    ran, seconds, left = interrupt(t, ['run', '.', '--report', 'out', '--json', 'o.json'], folder,
                                   'a@strict-posix')
    t.same('SIGINT: 130, soon, nobody left', ran, (130, True, []), (ran.code, seconds < 3, left))
    t.same('SIGINT: what is known is printed', ran, (True, True),
           ('violated' in ran.out, 'interrupted' in ran.out))
    text = t.get('SIGINT: the JSON is written', ran, lambda: open(
        os.path.join(folder, 'o.json'), encoding='utf-8').read()) or '{}'
    form(t, 'SIGINT: JSON', ran, text, 'run')
    result = Ran('', 0, text, '').json()
    t.same('SIGINT: JSON says so', ran, (True, [('a@strict-posix', 'violated'),
                                                ('b@strict-posix', 'inconclusive')]),
           (result.get('interrupted'), [(c['id'], c['verdict']) for c in result.get('cases', [])]))
    t.same('SIGINT: nothing half-written', ran,
           ['a.sql', 'b.sql', 'c.sql', 'o.json', 'out'], sorted(os.listdir(folder)))
    t.same('SIGINT: the report is whole', ran, ['annotations.txt', 'cases', 'index.html', 'junit.xml', 'result.json', 'summary.md'],
           sorted(os.listdir(os.path.join(folder, 'out'))) if os.path.isdir(
               os.path.join(folder, 'out')) else None)
    token = result['cases'][0]['violations'][0]['token'] if result.get('cases') else 'none'
    t.code('SIGINT: what was found can be replayed',
           t.run('replay', f'out/cases/{token}.ppcase', cwd=folder), 1)
    # timeout(1) signals the process, and then its group.
    for number in (signal.SIGINT, signal.SIGTERM):
        ran, seconds, _ = interrupt(t, ['run', 'b.sql'], folder, '', number, times=2)
        t.same(f'{number.name} twice in a moment: nothing is lost', ran, (130, True, True),
               (ran.code, seconds < 3, 'interrupted' in ran.out))
    ran, seconds, _ = interrupt(t, ['run', 'b.sql', '--json', '-'], folder, '', signal.SIGTERM)
    t.same('SIGTERM', ran, (130, True, True), (ran.code, seconds < 3, '"interrupted": true' in
                                               ran.out))
    data = trace_of(t, ALLOWED.replace('repeat=3', 'repeat=400'), '--budget', '300r')
    t.write(folder, 'long.trace', data)
    ran, seconds, _ = interrupt(t, ['explore', 'long.trace', '--json', '-', '--set',
                                    'model.sector=512'], folder, '')
    t.same('SIGINT: explore', ran, (130, True, True),
           (ran.code, seconds < 3, '"interrupted": true' in ran.out))


def check(t):
    t.part(check_explore)
    t.part(check_traces)
    t.part(check_files)
    t.part(check_full_disk)
    t.part(check_interrupt)
