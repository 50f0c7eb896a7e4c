#!/usr/bin/env python3
"""The numbers of the store library, as a table: `make bench-store`.

    run.py --build DIR

Both sides of a row are measured in this run, on this machine, in short turns, and what counts is
the median of the ratios of these turns. Each measurement checks its own answer (every side stored
the same, under the same settings, which were read back); a wrong answer fails the run, a missed bar
does not, because other work on the machine makes any bar missed. docs/benchmarks.md says what each
row means.

Databases are in a folder below DIR/bench, which is removed; better-sqlite3 is installed in
DIR/bench/node the first time.
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

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, 'better_sqlite3.js')
# The last major version that says that it runs on Node 20.
NODE_PACKAGE = 'better-sqlite3@12'
SYNCHRONOUS = {'full': '2', 'normal': '1'}
PAYLOADS = 64, 1024
REPEATS = 3     # of all sides, each with databases of its own
BATCH = 1000
PRODUCERS = 64
READERS = 4

# What others claim for a WAL manager in TypeScript, measured on their machine, at NORMAL.
CLAIMED = {'single writes': 38462, 'rows in batches': 166667, 'reads': 20000}


class Wrong(Exception):
    """A measurement whose answer is not what it must be."""


class Skipped(Exception):
    """A side that is not to be had on this machine."""


def median(values):
    return statistics.median(list(values))


class Bench:
    def __init__(self, build, work):
        self.build, self.work = build, work
        self.program = os.path.join(build, 'bench', 'store-bench')
        self.node = None        # what better_sqlite3.js needs, once it is there
        self.why_no_node = None
        self.sql = None
        self.rates = {}         # ours, by what and synchronous
        self.wrong = 0

    def say(self, text):
        if sys.stderr.isatty():
            print(f'\r\033[K{text} ...', end='', file=sys.stderr, flush=True)

    def row(self, what, here, other='', ratio='', bar='', met=None):
        if sys.stderr.isatty():
            print('\r\033[K', end='', file=sys.stderr, flush=True)
        verdict = '' if met is None else 'met' if met else 'MISSED'
        print(f'{what:<46} {here:<14} {other:<46} {ratio:>8}  {bar:<9} {verdict}'.rstrip(),
              flush=True)

    def against(self, what, here, other, ratio, bar=None):
        """A row whose bar is a ratio."""
        self.row(what, here, other, f'{ratio:.2f} x', f'>= {bar} x' if bar else '',
                 ratio >= bar if bar else None)

    def json(self, command):
        p = subprocess.run(command, capture_output=True, text=True, check=False)
        if p.returncode != 0:
            raise Wrong(p.stderr.strip() or f'{" ".join(command)}: exit status {p.returncode}')
        return json.loads(p.stdout)

    def folder(self):
        return tempfile.TemporaryDirectory(dir=self.work)

    def part(self, row, *args, synchronous=None):
        """A measurement of store-bench in a folder of its own: its JSON object."""
        with self.folder() as folder:
            r = self.json([self.program, row, folder, *map(str, args)])
        if synchronous and r['settings']['synchronous'] != SYNCHRONOUS[synchronous]:
            raise Wrong(f'synchronous is {r["settings"]["synchronous"]}, not {synchronous}')
        return r

    def node_part(self, settings, **args):
        """The same of better_sqlite3.js, under those settings."""
        if self.node is None:
            raise Skipped(self.why_no_node)
        with self.folder() as folder:
            r = self.json([*self.node, json.dumps(dict(args, folder=folder, sql=self.sql,
                                                       settings=settings))])
        if settings and r['settings'] != settings:
            raise Wrong(f'better-sqlite3 has the settings {r["settings"]}, the store {settings}')
        return r


# ---- better-sqlite3 ----

def node_install(bench):
    """Installs the package below the build folder unless it is there and loads."""
    node, npm = shutil.which('node'), shutil.which('npm')
    if node is None or npm is None:
        raise Skipped('there is no node' if node is None else 'there is no npm')
    folder = os.path.join(bench.build, 'bench', 'node')
    module = os.path.join(folder, 'node_modules', 'better-sqlite3')
    bench.node = [node, SCRIPT, module]
    try:
        return bench.node_part({}, row='version')
    except Wrong:
        pass
    bench.say(f'npm install {NODE_PACKAGE}, about a minute')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'package.json'), 'w', encoding='utf-8') as f:
        f.write('{"private": true}\n')
    environment = dict(os.environ)
    p = subprocess.run([node, '-p', 'process.execPath'], capture_output=True, text=True,
                       check=True)
    prefix = os.path.dirname(os.path.dirname(p.stdout.strip()))
    if os.path.isfile(os.path.join(prefix, 'include', 'node', 'node.h')):
        environment['npm_config_nodedir'] = prefix
    p = subprocess.run([npm, 'install', '--no-audit', '--no-fund', NODE_PACKAGE], cwd=folder,
                       env=environment, capture_output=True, text=True, check=False)
    if p.returncode != 0:
        last = (p.stderr.strip() or p.stdout.strip()).splitlines()[-1:]
        bench.node = None
        raise Skipped(f'npm install failed: {"".join(last)[:60]}')
    return bench.node_part({}, row='version')


# ---- rows ----

def ratios(laps, side):
    """How many times as fast the store was, lap by lap."""
    return [o / h for h, o in zip(laps['store'], laps[side])]


class Sides:
    """Seconds of each side, of the same work, and the store's advantage, lap by lap."""

    def __init__(self):
        self.count, self.seconds, self.ratios = 0, {}, {}

    def add(self, r, count):
        self.count += count * len(r['laps']['store'])
        for side, laps in r['laps'].items():
            self.seconds.setdefault(side, []).extend(laps)
            self.ratios.setdefault(side, []).extend(ratios(r['laps'], side))

    def rate(self, side):
        return self.count / sum(self.seconds[side])

    def ratio(self, side):
        return median(self.ratios[side])


NAMES = {'hand': 'by hand in C', 'plain': 'by hand, no checksum',
         'bare': 'by hand, a bare INSERT, no checksum'}


def node_row(bench, pairs):
    """Pairs of rates, ours and theirs, each side alone with the disk."""
    what = '  against better-sqlite3'
    if pairs:
        ours, theirs = zip(*pairs)
        bench.against(what, f'{median(ours):,.0f}/s', f'{median(theirs):,.0f}/s, no checksum',
                      median(o / t for o, t in pairs))
    else:
        bench.row(what, '', f'skipped: {bench.why_no_node}')


def append_node(bench, synchronous, args, shape):
    r = bench.part('append', synchronous, *args, 'store', synchronous=synchronous)
    n = bench.node_part(r['settings'], row='append', **shape)
    if n['digest'] != r['digest'] or n['events'] != r['events']:
        raise Wrong(f'better-sqlite3 stored {n["digest"]}, the store {r["digest"]}')
    return (r['events'] * len(r['laps']['store']) / sum(r['laps']['store']),
            n['events'] * len(n['laps']) / sum(n['laps']))


def append_rows(bench, what, synchronous, payload, batch, server_run, laps, per_lap,
                with_node=True):
    what = f'{what}, {synchronous.upper()}, {payload} B'
    bench.say(what)
    sides, pairs = Sides(), []
    args = payload, batch, server_run, laps, per_lap
    shape = {'payload_bytes': payload, 'batch_count': batch, 'server_run': server_run,
             'laps': laps, 'batches': per_lap}
    for _ in range(REPEATS):
        r = bench.part('append', synchronous, *args, 'all', synchronous=synchronous)
        sides.add(r, r['events'])
        if with_node and bench.node is not None:
            pairs.append(append_node(bench, synchronous, args, shape))
    rate = sides.rate('store')
    for side in sides.seconds:
        if side != 'store':
            bench.against(what if side == 'hand' else '', f'{rate:,.0f}/s' if side == 'hand' else
                          '', f'{sides.rate(side):,.0f}/s, {NAMES[side]}', sides.ratio(side),
                          0.95 if side == 'hand' else None)
    if with_node:
        node_row(bench, pairs)
    return rate


def batches(bench):
    for synchronous in 'full', 'normal':
        for payload in PAYLOADS:
            rate = append_rows(bench, f'batches of {BATCH:,}', synchronous, payload, BATCH,
                               BATCH, 24, 1)
            if payload == PAYLOADS[0]:
                bench.rates['rows in batches', synchronous] = rate
    append_rows(bench, '  eight servers in turn', 'normal', PAYLOADS[0], BATCH, 1, 24, 1,
                with_node=False)


def singles(bench):
    for synchronous in 'full', 'normal':
        for payload in PAYLOADS:
            rate = append_rows(bench, 'single events', synchronous, payload, 1, BATCH,
                               20 if synchronous == 'full' else 60, 50)
            if payload == PAYLOADS[0]:
                bench.rates['single writes', synchronous] = rate


def producers(bench):
    what = f'{PRODUCERS} producers, FULL, {PAYLOADS[0]} B'
    bench.say(what)
    r = bench.part('producers', 'full', PAYLOADS[0], PRODUCERS, 700, 5, synchronous='full')
    here = r['service']['rates']
    for side, name, bar in ('own', 'a connection each', 10), ('shared', 'one, and a mutex', None):
        other = r[side]['rates']
        bench.against(what if bar else '  against one connection and a mutex',
                      f'{median(here):,.0f}/s', f'{median(other):,.0f}/s, {name}',
                      median(h / o for h, o in zip(here, other)), bar)
    bench.row('  an event\'s longest wait', f'{1e3 * r["service"]["longest_seconds"]:,.0f} ms',
              f'{1e3 * r["own"]["longest_seconds"]:,.0f} ms; with a mutex '
              f'{1e3 * r["shared"]["longest_seconds"]:,.0f} ms')
    bench.row('  events that share a sync', f'{r["events"] / r["groups"]:.0f}')


def reads(bench):
    for payload in PAYLOADS:
        what = f'reads by id, one thread, {payload} B'
        bench.say(what)
        sides, pairs = Sides(), []
        for _ in range(REPEATS):
            r = bench.part('read', payload, 20000, 40, 500, synchronous='normal')
            sides.add(r, r['reads'])
            if bench.node is not None:
                n = bench.node_part(r['settings'], row='read', payload_bytes=payload,
                                    event_count=20000, laps=40, reads=500)
                pairs.append((len(r['laps']['store']) * r['reads'] / sum(r['laps']['store']),
                              len(n['laps']) * n['reads'] / sum(n['laps'])))
        if payload == PAYLOADS[0]:
            bench.rates['reads', 'normal'] = sides.rate('store')
        bench.against(what, f'{sides.rate("store"):,.0f}/s',
                      f'{sides.rate("hand"):,.0f}/s, {NAMES["hand"]}, no checksum',
                      sides.ratio('hand'))
        node_row(bench, pairs)


def readers(bench):
    what = f'{READERS} readers of the pool, by id'
    bench.say(what)
    r = bench.part('readers', 256, READERS, 400, REPEATS, synchronous='full')
    pool, opening, none = r['pool'], r['open'], r['none']

    def paired(a, b):
        return median(x / y for x, y in zip(a, b))

    bench.against(what, f'{median(pool["alone"]):,.0f}/s',
                  f'{median(opening["alone"]):,.0f}/s, a connection opened per read',
                  paired(pool['alone'], opening['alone']))
    bench.against('  beside a writer', f'{median(pool["beside"]):,.0f}/s',
                  f'{median(opening["beside"]):,.0f}/s, a connection opened per read',
                  paired(pool['beside'], opening['beside']))
    for kind, name in ('pool', 'by id'), ('range', 'ten of a server'):
        k = r[kind]
        bench.against(f'  {name}, with and without the writer',
                      f'{median(k["beside"]):,.0f}/s', f'{median(k["alone"]):,.0f}/s, no writer',
                      paired(k['beside'], k['alone']))
    bench.against('  the writer, with and without readers',
                  f'{median(pool["written"]):,.0f}/s',
                  f'{median(none["written"]):,.0f}/s, no readers',
                  paired(pool['written'], none['written']))


def checkpoints(bench):
    for frames in 1000, 10000:
        for mode in 'passive', 'full', 'restart', 'truncate':
            what = f'checkpoint {mode.upper()}, {frames:,} frames'
            bench.say(what)
            r = bench.part('checkpoint', mode, frames, 7 if frames == 1000 else 3,
                           synchronous='full')
            bench.against(what, f'{1e3 * median(r["store"]):.2f} ms',
                          f'{1e3 * median(r["sqlite"]):.2f} ms, SQLite\'s function',
                          median(o / h for h, o in zip(r['store'], r['sqlite'])))


def claims(bench):
    for what, claimed in CLAIMED.items():
        for synchronous in 'normal', 'full':
            rate = bench.rates.get((what, synchronous))
            if rate is not None:
                bench.against(f'{what}, {synchronous.upper()}', f'{rate:,.0f}/s',
                              f'{claimed:,}/s, claimed, elsewhere, NORMAL', rate / claimed)


# ---- the machine ----

def file_system(path):
    """The type and device of the file system that holds path."""
    best = ('', 'unknown', '')
    with open('/proc/self/mounts', encoding='utf-8') as f:
        for line in f:
            device, point, kind = line.split()[:3]
            inside = point == '/' or path == point or path.startswith(point + '/')
            if inside and len(point) >= len(best[0]):
                best = (point, kind, device)
    return best[1], best[2]


def sync_seconds(folder):
    """What one fdatasync of an overwritten page takes."""
    path = os.path.join(folder, 'sync')
    times = []
    f = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.pwrite(f, bytes(64 * 4096), 0)
        os.fsync(f)
        for i in range(200):
            begin = time.monotonic()
            os.pwrite(f, b'x' * 4096, i % 64 * 4096)
            os.fdatasync(f)
            times.append(time.monotonic() - begin)
    finally:
        os.close(f)
        os.unlink(path)
    return median(times)


def machine(bench):
    model = 'unknown processor'
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        for line in f:
            if line.startswith('model name'):
                model = line.split(':', 1)[1].strip()
                break
    kind, device = file_system(os.path.realpath(bench.work))
    print(f'machine: {model}, {os.cpu_count()} cores, Linux {os.uname().release}')
    print(f'databases: {kind} on {device}'
          f'{" (NO DISK: the rows at FULL mean nothing)" if kind == "tmpfs" else ""}, '
          f'a sync of a page takes {1e6 * sync_seconds(bench.work):.0f} us')
    print(f'SQLite {bench.sql["sqlite"]}', end='')
    try:
        v = node_install(bench)
        print(f'; better-sqlite3 {v["version"]} with its own SQLite {v["sqlite"]}, '
              f'Node {v["node"]}')
    except (Skipped, Wrong) as e:
        bench.node, bench.why_no_node = None, str(e)
        print(f'; better-sqlite3 skipped: {e}')


def settings(bench):
    r = bench.part('read', 64, 10, 1, 10)
    print('settings of every side, beside synchronous: ' +
          ' '.join(f'{k}={v}' for k, v in r['settings'].items() if k != 'synchronous'))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='store-', dir=os.path.join(args.build, 'bench')) \
            as work:
        bench = Bench(args.build, work)
        bench.sql = bench.json([bench.program, 'sql'])
        machine(bench)
        settings(bench)
        print()
        begin = time.monotonic()
        bench.row('what', 'here', 'other side', 'ratio', 'bar')
        for measure in batches, singles, producers, reads, readers, checkpoints, claims:
            try:
                measure(bench)
            except Wrong as e:
                bench.row(measure.__name__, 'WRONG ANSWER')
                print(f'  {e}')
                bench.wrong += 1
    print(f'\n{time.monotonic() - begin:.0f} s; {bench.wrong} wrong answers')
    return 1 if bench.wrong else 0


if __name__ == '__main__':
    sys.exit(main())
