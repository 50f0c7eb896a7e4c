#!/usr/bin/env python3
"""The numbers, as a table: `make bench`.

    run.py --build DIR

Both sides of a row are measured in this run, on this machine, and what counts is their ratio. Each
measurement checks its own answer (exhaustive, durable, as many states on both sides); a wrong
answer fails the run, a missed bar does not, because other work on the machine makes any bar missed.
docs/benchmarks.md says what each row means.

Files go to a temporary folder ($TMPDIR), one on tmpfs, and DIR/bench.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, '..', '..', 'faultinject', 'record', 'bench'))
# pylint: disable=wrong-import-position
import overhead  # noqa: E402
import sqlite_tests  # noqa: E402

REFERENCE = os.path.join(HERE, 'reference.sql')
REPEATS = 7
STATES = 300
KILL_ROUNDS = 2000
HOME_MADE_ROUNDS = 60
RECORDER_ROUNDS = 5
RECORDER_TRANSACTIONS = 10000


class Wrong(Exception):
    """A measurement whose answer is not what it must be."""


class Bench:
    def __init__(self, build, work, tmpfs):
        self.build, self.work, self.tmpfs = build, work, tmpfs
        self.rate = self.states_rate = None
        self.wrong = 0

    def say(self, text):
        if sys.stderr.isatty():
            print(f'\r\033[K{text} ...', end='', file=sys.stderr, flush=True)

    def row(self, what, here, other='', ratio='', bar='', met=None):
        if sys.stderr.isatty():
            print('\r\033[K', end='', file=sys.stderr, flush=True)
        verdict = '' if met is None else 'met' if met else 'MISSED'
        print(f'{what:<46} {here:<26} {other:<32} {ratio:>10}  {bar:<14} {verdict}'.rstrip(),
              flush=True)

    def part(self, *args):
        """A measurement of plugpull-bench: its JSON object."""
        p = subprocess.run([os.path.join(self.build, 'bench', 'plugpull-bench'), *args],
                           capture_output=True, text=True, check=False)
        if p.returncode != 0:
            raise Wrong(p.stderr.strip() or f'{args[0]}: exit status {p.returncode}')
        return json.loads(p.stdout)

    def run(self, scenario, *options, grade='durable', exhaustive=True):
        """A `plugpull run` of one case: the case, and how long the command took."""
        command = [os.path.abspath(os.path.join(self.build, 'plugpull')), 'run', '--json', '-',
                   '--timing', '-q', *options, scenario]
        begin = time.monotonic()
        p = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.work)
        seconds = time.monotonic() - begin
        try:
            case, = json.loads(p.stdout)['cases']
        except ValueError:
            raise Wrong(f'{" ".join(command)}: {p.stderr.strip()}') from None
        if case['grade'] != grade or case['exhaustive'] != exhaustive:
            raise Wrong(f'{case["id"]} is {case["grade"]}, exhaustive: {case["exhaustive"]}')
        return case, seconds


def median(values):
    return statistics.median(list(values))


def rate(bench, kind, repeats):
    """Recoveries per second of one process, and the number of recoveries and of states."""
    results = [bench.part('recoveries', REFERENCE, '512', kind) for _ in range(repeats)]
    if len({(r['recoveries'], r['states']) for r in results}) != 1:
        raise Wrong('two runs of the same did not make the same recoveries')
    return (median(r['recoveries'] / r['seconds'] for r in results), results[0]['recoveries'],
            int(results[0]['states']))


def recoveries(bench):
    bench.say('recoveries a second')
    bench.rate, count, states = rate(bench, 'new', REPEATS)
    bench.states_rate = states / count * bench.rate
    bench.row('recoveries a second, one core', f'{bench.rate:,.0f}/s', f'{count:,} recoveries', '',
              '>= 40,000/s', bench.rate >= 40000)
    every, _, _ = rate(bench, 'all', 1)
    bench.row('  against all oracles every time', f'{bench.rate:,.0f}/s', f'{every:,.0f}/s',
              f'{bench.rate / every:.1f} x')
    alone, _, _ = rate(bench, 'read', 3)
    bench.row('  against open and first read alone', f'{bench.rate:,.0f}/s', f'{alone:,.0f}/s',
              f'{bench.rate / alone:.2f} x')


def shell(bench):
    bench.say('materialised states')
    program = shutil.which('sqlite3')
    if program is None:
        bench.row('states, against files and the sqlite3 shell',
                  'not measured here: there is no sqlite3')
        return
    with tempfile.TemporaryDirectory(dir=bench.tmpfs) as folder:
        r = bench.part('states', REFERENCE, '4096', str(STATES), folder, program)
    theirs = r['check_seconds'] / r['checked']
    covered = r['seconds'] / r['states']
    recovery = r['seconds'] / r['recoveries']
    other = f'{theirs * 1e6:,.0f} us, sqlite3 shell'
    bench.row('a state covered, 4096', f'{covered * 1e6:.2f} us', other,
              f'{theirs / covered:,.0f} x', '>= 300 x', theirs >= 300 * covered)
    bench.row('  a recovery at the same crash points', f'{recovery * 1e6:.0f} us', other,
              f'{theirs / recovery:,.0f} x')
    bench.row('  a recovery of the reference run', f'{1e6 / bench.rate:.0f} us', other,
              f'{theirs * bench.rate:,.0f} x')
    bench.row('  of that, only starting the shell', '', f'{r["start_seconds"] * 1e6:,.0f} us')


def crash_tests(bench):
    bench.say('SQLite\'s crash tests')
    what = 'a state, against SQLite\'s crash tests'
    try:
        runs, seconds, version = sqlite_tests.crash_runs(bench.build, bench.tmpfs, bench.say)
    except sqlite_tests.NotHere as e:
        bench.row(what, f'not measured here: {e}')
    else:
        theirs = runs / seconds
        other = f'{theirs:.0f}/s, {sqlite_tests.TEST} {version}'
        bench.row(what, f'{bench.states_rate:.1e}/s', other,
                  f'{bench.states_rate / theirs:.1e} x', '>= 200 x',
                  bench.states_rate >= 200 * theirs)
        bench.row('  a recovery, one core, against the same', f'{bench.rate:,.0f}/s', other,
                  f'{bench.rate / theirs:,.0f} x')
    bench.row('a state, against LazyFS', 'not measured here: it needs FUSE and its sources')


def verdicts(bench):
    modes = [('wal', 'full'), ('delete', 'extra'), ('truncate', 'extra'), ('persist', 'extra')]
    for sector, bar in (('4096', 1), ('512', 10)):
        for mode, synchronous in modes:
            bench.say(f'{mode} at {sector}')
            case, seconds = bench.run(REFERENCE, '--set', f'model.sector={sector}', '--set',
                                      f'journal_mode={mode}', '--set',
                                      f'synchronous={synchronous}')
            bench.row(f'exhaustive verdict, {mode}/{synchronous}, {sector}', f'{seconds:.2f} s',
                      f'{case["recoveries"]:,} recoveries', '', f'<= {bar} s', seconds <= bar)
    for mode in 'memory', 'off':
        bench.say(mode)
        case, seconds = bench.run(REFERENCE, '--set', 'model.sector=512', '--set',
                                  f'journal_mode={mode}', grade='corrupt', exhaustive=False)
        bench.row(f'corrupt, so not exhaustive: {mode}/full, 512', f'{seconds:.2f} s',
                  f'{case["recoveries"]:,} recoveries')


def syncs(bench):
    bench.say('deleted syncs')
    r = bench.part('syncs', REFERENCE, '512')
    total = r['caught'] + r['redundant']
    bench.row(f'a deleted sync is found, {r["caught"]} of {total}: slowest',
              f'{r["recoveries_max"]:,} recoveries', f'{r["seconds_max"]:.4f} s', '',
              '<= 100, 0.1 s', r['recoveries_max'] <= 100 and r['seconds_max'] <= 0.1)
    bench.row('  median', f'{r["recoveries_median"]:,} recoveries', f'{r["seconds_median"]:.4f} s')
    bench.row('  within 100 recoveries and 0.1 s', f'{r["within"]} of {r["caught"]}')
    bench.row('  redundant, by covering all states', f'{r["redundant"]} of {total}',
              f'{r["redundant_recoveries"]:,} recoveries')


GROWTH = '''-- @scenario the same few rows are updated again and again, in a table of {rows} rows
-- @pragma journal_mode=wal synchronous=full wal_autocheckpoint=8
-- @require durable
-- @setup
CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note TEXT NOT NULL);
WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
 INSERT INTO account SELECT i, 1000, printf('%0100d', i) FROM n;
-- @client writer repeat={commits}
BEGIN;
UPDATE account SET balance = balance - 1 WHERE id = 1 + :i * 7 % {rows};
UPDATE account SET balance = balance + 1 WHERE id = 1 + (:i * 7 + 3) % {rows};
COMMIT;
'''


def grown(bench, sector, commits, rows):
    """Seconds of the exploration, as the median of three."""
    path = os.path.join(bench.work, 'growth.sql')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(GROWTH.format(commits=commits, rows=rows))
    cases = [bench.run(path, '--jobs', '1', '--set', f'model.sector={sector}')[0]
             for _ in range(3)]
    if cases[0]['commits'] != commits:
        raise Wrong(f'{cases[0]["commits"]} commits instead of {commits}')
    return median(c['seconds'] for c in cases)


def growth(bench):
    for sector in '512', '4096':
        bench.say(f'growth at {sector}')
        small, rows, commits = None, 1000, 20
        small = grown(bench, sector, commits, rows)
        longer = grown(bench, sector, 10 * commits, rows)
        larger = grown(bench, sector, commits, 10 * rows)
        bench.row(f'trace x 10, {sector}', f'{longer:.3f} s', f'{small:.3f} s',
                  f'{longer / small:.1f} x', '<= 12 x', longer <= 12 * small)
        bench.row(f'database x 10, {sector}', f'{larger:.3f} s', f'{small:.3f} s',
                  f'{larger / small:.1f} x', '<= 3 x', larger <= 3 * small)


def home_made(folder, rounds):
    """What a loop of one's own does: writers that are sqlite3 shells, a SIGKILL, and a shell that
    looks. Rounds a second, of one such loop."""
    database = os.path.join(folder, 'own.db')
    script = ('PRAGMA journal_mode=wal; PRAGMA synchronous=full;'
              'CREATE TABLE IF NOT EXISTS t(x);' + 'INSERT INTO t VALUES (1);' * 2000).encode()
    begin = time.monotonic()
    for i in range(rounds):
        writers = [subprocess.Popen(['sqlite3', database], stdin=subprocess.PIPE,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for _ in range(2)]
        for w in writers:
            w.stdin.write(script)
            w.stdin.close()
        time.sleep(0.002 * (i % 5))
        for w in writers:
            w.kill()
            w.wait()
        p = subprocess.run(['sqlite3', database, 'PRAGMA integrity_check'], capture_output=True,
                           text=True, check=False)
        if p.stdout.strip() != 'ok':
            raise Wrong(f'a loop of our own: {p.stdout} {p.stderr}')
    return rounds / (time.monotonic() - begin)


def kills(bench):
    """Real kills. A round starts processes, kills them, opens what is there and checks it."""
    bench.say('kill rounds')
    command = [os.path.abspath(os.path.join(bench.build, 'plugpull')), 'kill', '--json', '-',
               '--timing', '-q', '--budget', f'{KILL_ROUNDS}r', os.path.join(HERE, 'kill.sql')]
    environment = dict(os.environ, TMPDIR=bench.tmpfs)
    p = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    try:
        case, = json.loads(p.stdout)['cases']
    except ValueError:
        raise Wrong(f'{" ".join(command)}: {p.stderr.strip()}') from None
    if case['verdict'] != 'held' or case['rounds'] != KILL_ROUNDS:
        raise Wrong(f'{case["id"]} {case["verdict"]}, {case["rounds"]} rounds: {case["reason"]}')
    here = KILL_ROUNDS / case['seconds']
    if shutil.which('sqlite3') is None:
        bench.row(f'kill rounds on {os.cpu_count()} cores', f'{here:,.0f}/s',
                  'there is no sqlite3 shell', '', '>= 500/s', here >= 500)
        return
    bench.say('kill rounds, a loop of one\'s own')
    own = home_made(bench.tmpfs, HOME_MADE_ROUNDS)
    bench.row(f'kill rounds on {os.cpu_count()} cores', f'{here:,.0f}/s',
              f'shells in a loop: {own:,.0f}/s', f'{here / own:.0f} x', '>= 500/s', here >= 500)


def recorder(bench):
    """What being recorded costs a program that writes: WAL, one row or a thousand a transaction."""
    for folder, where in ((bench.work, 'disk'), (bench.tmpfs, 'memory')):
        bench.say(f'recorder, {where}')
        for c in overhead.measure_all(bench.build, folder, RECORDER_ROUNDS, RECORDER_TRANSACTIONS):
            bench.row(f'recorded {c.program}, {c.mode.upper()}, {c.rows} row{"s"[:c.rows > 1]}, {where}',
                      f'{c.recorded:,.1f} us a transaction', f'not recorded: {c.plain:,.1f} us',
                      f'{c.best:.2f} x', '<= 1.10 x', c.best <= 1.10)


def machine(bench):
    model = 'unknown processor'
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        for line in f:
            if line.startswith('model name'):
                model = line.split(':', 1)[1].strip()
                break
    p = subprocess.run([os.path.join(bench.build, 'plugpull'), '--version'], capture_output=True,
                       text=True, check=True)
    version = p.stdout.splitlines()
    print(f'machine: {model}, {os.cpu_count()} cores, Linux {os.uname().release}')
    print(f'{version[0]}; {version[1]}; states as files: {bench.tmpfs}'
          f'{"" if on_tmpfs(bench.tmpfs) else " (NOT on tmpfs)"}')


def on_tmpfs(path):
    p = subprocess.run(['stat', '-f', '-c', '%T', path], capture_output=True, text=True,
                       check=False)
    return p.stdout.strip() == 'tmpfs'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', required=True)
    args = parser.parse_args()
    shm = '/dev/shm' if os.access('/dev/shm', os.W_OK) and on_tmpfs('/dev/shm') else None
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='plugpull-bench-') as work, \
         tempfile.TemporaryDirectory(prefix='plugpull-bench-', dir=shm) as tmpfs:
        bench = Bench(args.build, work, tmpfs)
        machine(bench)
        print()
        bench.row('what', 'here', 'other side, or size', 'ratio', 'bar')
        for measure in recoveries, shell, crash_tests, verdicts, syncs, growth, kills, recorder:
            try:
                measure(bench)
            except Wrong as e:
                bench.row(measure.__name__, 'WRONG ANSWER')
                print(f'  {e}')
                bench.wrong += 1
                if bench.rate is None:
                    break
    print(f'\n{time.monotonic() - begin:.0f} s; {bench.wrong} wrong answers')
    return 1 if bench.wrong else 0


if __name__ == '__main__':
    sys.exit(main())
