#!/usr/bin/env python3
"""What recording costs a program that writes.

    overhead.py BUILD [--rounds N] [--transactions N] [FOLDER...]

Runs the same program without and with libplugpull-record.so, by turns, and prints for each folder
(default: one on the disk, one in memory) the time of a transaction on both sides and their ratio:
the median of the ratios of neighbouring runs, and the ratio of the fastest runs, which is nearer to
the truth on a busy machine. The programs are Python's sqlite3 and the sqlite3 shell; WAL, NORMAL
(hardly any sync, so the recorder stands out most) and FULL; one row a transaction, and a thousand.
The log is made as `plugpull record` makes it, in memory if there is room; its pages are made ahead
by this process, which waits meanwhile, as that does. The last line is for scripts.
"""
import argparse
import ctypes
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

START, SIZE, AHEAD = 2 << 20, 64 << 30, 32 << 20
HEADER = struct.Struct('<QIIQ')
MAGIC = 0x0a676f6c65727070
MADV_POPULATE_WRITE = 23
PYTHON = '''
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("pragma journal_mode=wal"); c.execute("pragma synchronous=" + sys.argv[2])
c.execute("create table t(id integer primary key, a text)")
n, rows = int(sys.argv[3]), int(sys.argv[4])
t = time.perf_counter()
for i in range(n):
    if rows > 1: c.execute("begin")
    for j in range(rows): c.execute("insert into t(a) values(?)", ("x" * 100,))
    if rows > 1: c.execute("commit")
print(time.perf_counter() - t)
'''


class Log:
    """An empty log, and its pages made ahead of whoever writes."""

    def __init__(self, folder):
        self.path = os.path.join(folder, 'log')
        with open(self.path, 'wb') as f:
            f.truncate(SIZE)
            f.write(HEADER.pack(MAGIC, 1, 0, START))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                              ctypes.c_long]
        libc.madvise.argtypes = libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        fd = os.open(self.path, os.O_RDWR)
        self.libc, self.map, self.ready = libc, libc.mmap(None, SIZE, 3, 1 | 0x4000, fd, 0), START
        os.close(fd)

    def tail(self):
        return ctypes.c_uint64.from_address(self.map + 16).value

    def prepare(self):
        while self.ready < self.tail() + AHEAD:
            self.libc.madvise(self.map + self.ready, 1 << 20, MADV_POPULATE_WRITE)
            self.ready += 1 << 20

    def close(self):
        self.libc.munmap(self.map, SIZE, 0)
        os.unlink(self.path)


def run(command, stdin, log, library):
    """Seconds, by the program's own clock when it says them."""
    env = dict(os.environ)
    if log:
        log.prepare()
        env.update(PLUGPULL_RECORDING=log.path, LD_PRELOAD=library)
    begin = time.perf_counter()
    with subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE,
                          stdin=open(stdin, encoding='utf-8') if stdin else None) as p:
        while p.poll() is None:
            if log:
                log.prepare()
            time.sleep(0.002)
        out = p.stdout.read().split()
    if p.returncode:
        sys.exit(f'{command[0]} failed')
    if stdin is None:
        return float(out[-1])
    return time.perf_counter() - begin


class Cost:
    """Times of a transaction in microseconds, of neighbouring runs."""

    def __init__(self, program, mode, rows, plain, recorded, log_bytes):
        self.program, self.mode, self.rows, self.log_bytes = program, mode, rows, log_bytes
        self.plain, self.recorded = statistics.median(plain), statistics.median(recorded)
        self.ratio = statistics.median(r / p for r, p in zip(recorded, plain))
        self.best = min(recorded) / min(plain)


PROGRAMS = (('python3', 'normal', 1, 1), ('python3', 'normal', 500, 1000), ('sqlite3', 'normal', 1, 1),
            ('python3', 'full', 30, 1))  # program, synchronous, a part of the transactions, rows


def measure_all(build, folder, rounds, transactions):
    """Yields the cost of recording for each program, on the disk of `folder`."""
    library = os.path.realpath(os.path.join(build, 'libplugpull-record.so'))
    memory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    data = tempfile.mkdtemp(dir=folder, prefix='overhead-')
    logs = tempfile.mkdtemp(dir=memory, prefix='overhead-log-')
    try:
        for program, mode, part, rows in PROGRAMS:
            yield measure(data, logs, library, rounds, program, mode, max(1, transactions // part), rows)
    finally:
        shutil.rmtree(data)
        shutil.rmtree(logs)


def measure(folder, logs, library, rounds, program, mode, n, rows):
    database, script = os.path.join(folder, 'bench.db'), None
    command = ['/usr/bin/python3', '-c', PYTHON, database, mode, str(n), str(rows)]
    if program == 'sqlite3':
        script = os.path.join(folder, 'bench.sql')
        with open(script, 'w', encoding='utf-8') as f:
            f.write(f'pragma journal_mode=wal; pragma synchronous={mode};\n'
                    'create table t(id integer primary key, a text);\n')
            for _ in range(n):
                f.write('begin;\n' * (rows > 1) + f"insert into t(a) values('{'x' * 100}');\n" * rows +
                        'commit;\n' * (rows > 1))
        command = ['sqlite3', database]
    plain, recorded = [], []
    size = 0
    for i in range(rounds + 1):
        for times in (plain, recorded) if i % 2 else (recorded, plain):
            for suffix in ('', '-wal', '-shm', '-journal'):
                if os.path.exists(database + suffix):
                    os.unlink(database + suffix)
            log = Log(logs) if times is recorded else None
            t = run(command, script, log, library)
            if log:
                size = log.tail() - START
                log.close()
            if i > 0:  # the first is to warm up
                times.append(t / n * 1e6)
    return Cost(program, mode, rows, plain, recorded, size / n)


def main():
    a = argparse.ArgumentParser()
    a.add_argument('build')
    a.add_argument('--rounds', type=int, default=7)
    a.add_argument('--transactions', type=int, default=30000)
    a.add_argument('folders', nargs='*')
    o = a.parse_args()
    worst = {}
    for where in o.folders or [tempfile.gettempdir()] + ['/dev/shm'] * os.access('/dev/shm', os.W_OK):
        print(f'{where}: time of a transaction, plain and recorded')
        for c in measure_all(o.build, where, o.rounds, o.transactions):
            print(f'{c.program:8} {c.mode:6} {c.rows:5} rows  {c.plain:9.2f} {c.recorded:9.2f} us   '
                  f'x {c.ratio:.3f}   fastest x {c.best:.3f}   log {c.log_bytes:7.0f} bytes', flush=True)
            worst[f'{where}:{c.program}:{c.mode}:{c.rows}'] = c.best
    print('ratios', ' '.join(f'{k}={v:.3f}' for k, v in worst.items()))


if __name__ == '__main__':
    main()
