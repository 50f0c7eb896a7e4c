"""Workers, crashes and hangs of the code under test, budgets, runs that are taken up again."""
import json
import os
import signal
import struct
import time

import files
from commands import LONG
from scenarios import ARCHIVE, LOSES, ROWS, build_library
from tool import processes_of_session

# Torn, lost and held states; the first is explored with hundreds of recoveries.
JOBS = ('1', '2', '3', '8')
TORN = '-- @scenario torn\n-- @pragma journal_mode=memory synchronous=full\n' \
    '-- @matrix model.sector=512,4096\n-- @setup\nCREATE TABLE t(x);\nCREATE TABLE u(x);\n' \
    '-- @client c repeat=3\nBEGIN;\nINSERT INTO t VALUES (1);\nINSERT INTO u VALUES (2);\nCOMMIT;\n'
# A query that dies in the torn states only, which no recorded run has shown.
DIES = TORN.replace('-- @matrix model.sector=512,4096\n', '-- @load %s\n') + \
    '-- @invariant "does not die"\n' \
    "SELECT 1 WHERE die('%s', (SELECT count(*) FROM t) <> (SELECT count(*) FROM u));\n"
EXTENSION = '''#include <sqlite3ext.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
SQLITE_EXTENSION_INIT1
static void die(sqlite3_context *c, int n, sqlite3_value **v)
{ const char *how = (const char *)sqlite3_value_text(v[0]);
  (void)n;
  if (sqlite3_value_int(v[1])) {
    if (!strcmp(how, "segv")) raise(SIGSEGV);
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "exit")) exit(0);
    if (!strcmp(how, "loop")) for (volatile int i = 0;; i = !i) ;
    if (!strcmp(how, "kill")) kill(getpid(), SIGKILL);
  }
  sqlite3_result_int(c, 0); }
int sqlite3_extension_init(sqlite3 *db, char **message, const sqlite3_api_routines *api)
{ (void)message; SQLITE_EXTENSION_INIT2(api);
  return sqlite3_create_function(db, "die", 2, SQLITE_UTF8, 0, die, 0, 0); }
'''


def same_for_all_jobs(t, what, text, *args):
    rans = [t.run_text(text, '--jobs', j, *args) for j in JOBS]
    for ran, jobs in zip(rans, JOBS):
        t.same(f'--jobs {jobs}: {what}: the same bytes', ran, (rans[0].code, rans[0].out),
               (ran.code, ran.out))
    return rans[0]


def check_jobs(t):
    for what, text in (('held', ARCHIVE + '-- @matrix model.sector=512,4096\n'),
                       ('lost', LOSES), ('torn', TORN),
                       # The same promise is broken at several crash points.
                       ('barrier', LOSES + '-- @models apfs-barrier\n'),
                       ('process-crash', LOSES + '-- @models process-crash\n')):
        same_for_all_jobs(t, what, text)
    one = TORN.replace('=512,4096', '=512')
    for n in range(2, 40):
        ran = t.run_text(one, '--budget', f'{n}r')
        first = [v for v in ran.case()['violations'] if v['grade'] == 'torn']
        if first:
            break
    t.check(first and first[0] in t.run_text(one).case()['violations'],
            'of equal findings the first is kept', ran, 'the finding of the whole run', first)
    for budget in (1, 7, 40, 200, 2000):
        ran = same_for_all_jobs(t, f'--budget {budget}r', ARCHIVE + '-- @matrix model.sector=512\n',
                                '--budget', f'{budget}r')
        if ran.code == 4:
            t.same(f'--budget {budget}r: no recovery more', ran, budget, ran.case()['recoveries'])
    t.same('--jobs: in no result', None, t.run_text(ROWS).out, t.run_text(ROWS, '--jobs', '5').out)


def check_crashes(t, extension):
    for how, word in (('segv', 'SIGSEGV'), ('abort', 'SIGABRT'), ('exit', 'exit status')):
        text = DIES % (extension, how)
        ran = same_for_all_jobs(t, f'a query that ends by {how}', text)
        case = ran.case()
        found = [v for v in case['violations'] if v['grade'] == 'corrupt']
        t.same(f'{how} of the code under test is a finding', ran,
               (1, 'violated', 'corrupt', False, ['recovery']),
               (ran.code, case['verdict'], case['grade'], case['exhaustive'],
                [v['oracle'] for v in found]))
        t.has(f'{how}: said how', ran, word, found[0]['message'] if found else '')
        folder = t.scenario(text)
        t.run('run', 'f.sql', '--jobs', '2', cwd=folder)
        again = t.run('replay', found[0]['token'], '--json', '-', cwd=folder)
        t.same(f'{how}: the replay says so again and lives', again,
               (1, [('recovery', 'corrupt')], [found[0]['message']]),
               (again.code, [(v['oracle'], v['grade']) for v in again.case()['violations']],
                [v['message'] for v in again.case()['violations']]))
        ran = t.run_text(text, '--jobs', '2', '--budget', f"{case['recoveries'] - 1}r")
        t.same(f'{how}: a budget that ends before does not see it', ran, case['recoveries'] - 1,
               ran.case()['recoveries'])
    ran = t.run_text(DIES % (extension, 'kill'), '--jobs', '2')
    t.same('a worker that vanished', ran, (3, 'error', None),
           (ran.code, ran.case()['verdict'], ran.case()['grade']))
    t.has('a worker that vanished: said how', ran, 'killed by SIGKILL', ran.case()['reason'] or '')


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='utf-8') as f:
        return [int(p) for p in f.read().split()]


def wait_for(condition, seconds=20, pause=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(pause)
    return condition()


def started(t, args, cwd, count):
    process = t.popen(args, cwd)
    return process, wait_for(lambda: len(children(process.pid)) >= count and children(process.pid))


def none_left(t, what, process):
    left = wait_for(lambda: not processes_of_session(process.pid))
    t.same(f'{what}: no process is left', None, True, left)


def check_signals(t, extension):
    folder = t.scenario(LONG)
    args = ['run', 'f.sql', '--json', '-', '--jobs', '3']
    for number in (signal.SIGINT, signal.SIGTERM):
        process, workers = started(t, args, folder, 3)
        t.same('three workers', None, 3, len(workers))
        time.sleep(0.3)
        # As a terminal does: to everybody.
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=20)
        result = t.get('the JSON after a signal', None, lambda: json.loads(out)) or {}
        case = (result.get('cases') or [{}])[0]
        t.same(f'signal {number}: what is known is written', None,
               (130, b'', True, 'inconclusive', True),
               (process.returncode, err, result.get('interrupted'), case.get('verdict'),
                case.get('recoveries', 0) > 0))
        none_left(t, f'signal {number}', process)
    process, workers = started(t, args, folder, 3)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(workers[0], number)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    t.same('a signal that only a worker gets changes nothing', None, (130, 'inconclusive'),
           (process.returncode, json.loads(out)['cases'][0]['verdict']))
    process, workers = started(t, args, folder, 3)
    os.kill(workers[1], signal.SIGKILL)
    out, err = process.communicate(timeout=20)
    case = json.loads(out)['cases'][0]
    t.same('kill -9 of a worker: exit 3', None, (3, 'error', True),
           (process.returncode, case['verdict'], 'a worker vanished' in (case['reason'] or '')))
    none_left(t, 'kill -9 of a worker', process)
    folder = t.scenario(DIES % (extension, 'loop'))
    process, workers = started(t, ['run', 'f.sql', '--jobs', '2'], folder, 2)
    time.sleep(0.3)
    process.kill()
    process.communicate(timeout=20)
    none_left(t, 'kill -9 of the parent', process)


MIDDLE = ARCHIVE.replace('batches=2 events=2', 'batches=6 events=3') + \
    '-- @matrix model.sector=512\n'


def taken(ran):
    return int(ran.err.rpartition('r: ')[2].split()[0]) if ' taken from it' in ran.err else None


def check_resume(t):
    whole = t.run_text(MIDDLE)
    folder = t.scenario(MIDDLE)

    def run(*args):
        return t.run('run', 'f.sql', '--json', '-', '--resume', 'r', *args, cwd=folder)

    first = run('--budget', '2500r', '--jobs', '2')
    t.same('--resume: a budget ends it', first, (4, 0, 2500),
           (first.code, taken(first), first.case()['recoveries']))
    t.has('--resume: it says that it can go on', first, 'goes on from here',
          first.case()['reason'])
    count, rans = 0, []
    while count < 9 and (not rans or rans[-1].code == 4):
        rans.append(run('--budget', '2500r', '--jobs', str(1 + count % 3)))
        count += 1
    t.same('--resume: at last the result is that of one run', rans[-1], (whole.code, whole.out),
           (rans[-1].code, rans[-1].out))
    t.check(len(rans) > 1 and all(taken(r) for r in rans), '--resume: each goes on',
            rans[-1], 'several runs', len(rans))
    again = run()
    t.same('--resume: a whole file', again, (whole.out, whole.case()['crash_points']),
           (again.out, taken(again)))
    alone = [t.run('run', 'f.sql', '--json', '-', '--resume', 'a', '--budget', '1500r', '--jobs', '1',
                   cwd=folder) for _ in range(6)][-1]
    t.has('--resume: said when a budget gets no further', alone, 'would get no further',
          alone.case()['reason'])
    for args in (('--seed', '2', '--set', 'model.sector=4096'), ('--show-data', '--budget', '9r')):
        size = os.path.getsize(os.path.join(folder, 'r'))
        other = run(*args)
        t.same(f'--resume: nothing is taken for {args}', other, (0, True, True),
               (taken(other), os.path.getsize(os.path.join(folder, 'r')) > size,
                '--budget' in args or other.out == t.run_text(MIDDLE, *args).out))
    t.same('--resume: what is of others was kept', None, whole.case()['crash_points'],
           taken(run()))


def check_resume_killed(t):
    text = MIDDLE.replace('batches=6', 'batches=9')
    whole = t.run_text(text)
    folder = t.scenario(text)
    path = os.path.join(folder, 'r')
    process = t.popen(['run', 'f.sql', '--resume', 'r', '--jobs', '2'], folder)
    wait_for(lambda: os.path.exists(path) and os.path.getsize(path) > 300, pause=0.001)
    process.kill()
    process.communicate()
    none_left(t, '--resume and kill -9', process)
    ran = t.run('run', 'f.sql', '--json', '-', '--resume', 'r', cwd=folder)
    t.same('--resume after kill -9', ran, (whole.code, whole.out), (ran.code, ran.out))
    t.check(0 < (taken(ran) or 0) < whole.case()['crash_points'], '--resume after kill -9: some',
            ran, 'some points taken', taken(ran))


def check_resume_damage(t):
    folder = t.scenario(ROWS)
    path = os.path.join(folder, 'r')

    def run(data=None):
        if data is not None:
            with open(path, 'wb') as f:
                f.write(data)
        return t.run('run', 'f.sql', '--json', '-', '--resume', 'r', cwd=folder)

    whole = run()
    t.same('--resume: file mode', whole, 0o600, os.stat(path).st_mode & 0o777)
    with open(path, 'rb') as f:
        good = f.read()
    records, at = [], 16
    while at < len(good):
        records.append(at)
        at += 24 + struct.unpack_from('<I', good, at)[0]
    t.same('--resume: the byte table', None, (b'ppresume', 1, len(good)),
           (good[:8], struct.unpack_from('<I', good, 8)[0], at))
    first, last = records[0], records[-1]
    payload = good[first + 24:records[1]]
    t.same('--resume: the checksum of a record', None, good[first + 8:first + 24],
           files.xxh128(payload))
    for what, data in (('torn', good[:-1]), ('torn to a header', good[:last + 10]),
                       ('torn, zeros behind', good + bytes(500)), ('no header', good[:5]),
                       ('last record', good[:-1] + bytes([good[-1] ^ 1])), ('empty', b'')):
        ran = run(data)
        t.same(f'--resume: {what}: the rest is used', ran, (0, whole.out), (ran.code, ran.out))
        t.same(f'--resume: {what}: said on stderr', ran, what not in ('empty', 'no header'),
               'torn' in ran.err)
    for where in (first, first + 5, first + 9, first + 30, last, last + 6):
        data = bytearray(good)
        data[where] ^= 4
        at = max(r for r in records if r <= where)
        t.refused(f'--resume: damage in byte {where}', run(bytes(data)), '--resume', 'r: damaged',
                  f'option --resume: r: damaged at byte {at}: ')
        t.same(f'--resume: damage in byte {where} is said once', None, 1,
               run(bytes(data)).err.count('damaged'))
    future = good[:8] + struct.pack('<I', 2) + good[12:]
    t.refused('--resume: a format of the future', run(future), '--resume', 'format')
    t.refused('--resume: another file', run(b'SQLite format 3\0' * 4), '--resume', 'not a file of')
    for wrong in ('none/r', '.', '/dev/null'):
        t.refused(f'--resume {wrong}', t.run('run', 'f.sql', '--resume', wrong, cwd=folder),
                  '--resume', wrong)


def check_representative(t):
    def run(*args, text=MIDDLE):
        return same_for_all_jobs(t, '--representative', text, '--representative', *args)

    whole = t.run_text(MIDDLE).case()
    ran = run()
    case = ran.case()
    t.same('--representative: held is possible, exhaustive is not', ran,
           (0, 'held', False, whole['states'], whole['crash_points']),
           (ran.code, case['verdict'], case['exhaustive'], case['states'], case['crash_points']))
    t.check(case['recoveries'] * 5 < whole['recoveries'], '--representative: far fewer recoveries',
            ran, f"less than a fifth of {whole['recoveries']}", case['recoveries'])
    t.check(any(n.startswith('representative:') for n in case.get('notes', [])),
            '--representative: a note says so', ran, 'a note', case.get('notes'))
    text = LOSES + '-- @matrix model.sector=512\n'
    folder = t.scenario(text)
    ran = t.run('run', 'f.sql', '--representative', '--report', 'out', cwd=folder)
    t.same('--representative: violated is violated', ran, 1, ran.code)
    for name in ('junit.xml', 'summary.md', 'result.json'):
        with open(os.path.join(folder, 'out', name), encoding='utf-8') as f:
            t.has(f'--representative: {name} is labelled', ran, 'representative', f.read())
    t.has('--representative: so is the terminal', ran, ' representative ', ran.out)
    with open(os.path.join(folder, 'out', 'result.json'), encoding='utf-8') as f:
        token = json.load(f)['cases'][0]['violations'][0]['token']
    path = os.path.join(folder, 'out', 'cases', token + '.ppcase')
    with open(path, 'rb') as f:
        t.same('--representative: the case file says so', ran, True,
               files.split_case(f.read())[0]['state'].get('representative'))
    t.code('--representative: the replay finds it again', t.run('replay', path), 1)
    ran = run('--budget', '20r')
    t.same('--representative: a budget ends it as ever', ran, (4, False, 20),
           (ran.code, ran.case()['exhaustive'], ran.case()['recoveries']))
    folder = t.scenario(MIDDLE)
    for args, expected in (((), 0), (('--representative',), 0), (('--representative',), 33)):
        ran = t.run('run', 'f.sql', '--resume', 'r', *args, cwd=folder)
        t.same(f'--resume knows what is representative: {args}', ran, expected, taken(ran))


def check(t):
    extension = build_library(t, EXTENSION)
    t.part(check_jobs)
    t.part(check_crashes, extension)
    t.part(check_signals, extension)
    t.part(check_resume)
    t.part(check_resume_killed)
    t.part(check_resume_damage)
    t.part(check_representative)
