#!/usr/bin/env python3
"""Black-box test of libplugpull-record.so: programs run under it, and what they did is in the log.

    preload_test.py PLUGPULL      (the library lies beside it)

The log is read here by a reader of its own. Its main check: the files that the records make, from
what was there before, are the files that are there.
"""
import os
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

PYTHON = '/usr/bin/python3'
TYPES = ('? PROCESS EXIT BLIND FILE CONTENT OPEN WRITE TRUNCATE ALLOCATE SYNC DIRSYNC SYNC_ALL RENAME '
         'UNLINK LINK LOCK UNLOCK CLOSE DIGEST MAPPED OUTPUT MARK TROUBLE STATEMENT').split()
ONCE, BEGIN, END = 1, 2, 3
EXISTED, TRUNCATED, DATA_ONLY, SHARED, SHM, DSYNC, APPEND, DELTA = (1 << i for i in range(8))
RECORD = struct.Struct('<QIIBBHIIIQQQQQqIIQ')
HEADER = struct.Struct('<QIIQIIQQIIQQQ4096s4096sQII')
START, SIZE, WHOLE = 2 << 20, 64 << 30, 0x77686f6c
TAG, MAGIC = 0x8b5cf02d4e9a7713, 0x0a676f6c65727070
WATCH_OUTPUT, WATCH_MARKS = 1, 2
CLOCK_REALTIME_COARSE = 5

library = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), 'libplugpull-record.so')
passed = failed = 0
failures = []


def check(ok, what, detail=''):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f'FAIL  {what}  {detail}')


class Record:
    def __init__(self, at, raw, body):
        (self.tag, self.size, self.state, kind, self.moment, self.flags, self.pid, self.tid, self.mode,
         self.begin, self.dev, self.ino, self.offset, self.length, self.result, p, p2, d) = raw
        self.at, self.type = at, TYPES[kind]
        self.path = body[:p - 1].decode() if p else ''
        self.path2 = body[p:p + p2 - 1].decode() if p2 else ''
        self.data = body[p + p2:p + p2 + d]

    def __repr__(self):
        return f'{self.at} {self.pid} {self.type} {self.moment} {self.path} {self.offset:x}+{self.length}'


class Log:
    """One recording: makes the log, runs programs under it, reads it."""

    def __init__(self, folder, flags=0, output='', marks='', kill=(0, 0)):
        # As reclog_create(): what was written before has an earlier time.
        before = time.time_ns()
        while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= before:
            time.sleep(0.0005)
        self.folder, self.path = folder, os.path.join(folder, 'log')
        with open(self.path, 'wb') as f:
            f.truncate(SIZE)
            f.write(HEADER.pack(MAGIC, 1, flags, START, 0, 0, 0, 0, kill[0], 0, kill[1], 0, 0,
                                output.encode(), marks.encode(), time.clock_gettime_ns(CLOCK_REALTIME_COARSE), 0, 0))
        self.marks = marks

    def environment(self):
        env = dict(os.environ, PLUGPULL_RECORDING=self.path, LD_PRELOAD=library)
        if self.marks:
            env['PLUGPULL_MARK'] = self.marks
        return env

    def run(self, *command, **more):
        more.setdefault('capture_output', 'stdout' not in more)
        return subprocess.run(command, cwd=self.folder, env=self.environment(), text=True,
                              timeout=60, **more)

    def python(self, text, **more):
        r = self.run(PYTHON, '-c', PRELUDE + text, **more)
        if r.returncode not in (0, -signal.SIGKILL):
            check(False, 'the program ran', r.stderr)
        return r

    def read(self):
        with open(self.path, 'rb') as f:
            header = HEADER.unpack(f.read(HEADER.size))
            f.seek(START)
            data = f.read(header[3] - START)
        self.trouble = header[4]
        records, at = [], 0
        while at + RECORD.size <= len(data):
            raw = RECORD.unpack_from(data, at)
            if raw[0] != TAG ^ (START + at):
                at += 8
                continue
            if raw[2] == WHOLE:
                records.append(Record(START + at, raw, data[at + RECORD.size:at + raw[1]]))
            at += raw[1]
        self.records = records
        self.by_offset = {r.at: r for r in records}
        for r in records:
            if r.type == 'WRITE' and r.moment == BEGIN and r.flags & DELTA:
                base, n = self.by_offset[r.begin].data, r.length // 64
                bits, out, at = int.from_bytes(r.data[:(n + 7) // 8], 'little'), bytearray(base), (n + 7) // 8
                for i in range(n):
                    if bits >> i & 1:
                        out[64 * i:64 * i + 64] = r.data[at:at + 64]
                        at += 64
                r.data = bytes(out)
        return records

    def troubles(self):
        return [r.data.decode().replace(self.folder + '/', '') for r in self.of('TROUBLE')]

    def of(self, *types, moment=None):
        return [r for r in self.records if r.type in types and moment in (None, r.moment)]

    def files(self):
        """The files that the records make: name -> bytes, and the digests that were wrong."""
        images, names, wrong = {}, {}, []
        for r in self.records:
            key, b = (r.dev, r.ino), self.by_offset.get(r.begin)
            if r.type == 'FILE' and r.moment in (ONCE, BEGIN):
                images.setdefault(key, bytearray(r.length))
                names[r.path] = key
            elif r.type == 'CONTENT':
                images[key][r.offset:r.offset + len(r.data)] = r.data
            elif r.type == 'OPEN' and not r.flags & SHM and r.moment in (ONCE, END) and r.result >= 0:
                names[r.path] = key
                if not r.flags & EXISTED:
                    images[key] = bytearray()
                if r.flags & TRUNCATED:
                    images[key] = bytearray()
            if r.moment != END or r.result < 0 or b is None:
                continue
            key = (b.dev, b.ino)
            if r.type == 'WRITE':
                data = (b.data or r.data)[:r.result]
                at = r.offset if b.flags & APPEND else b.offset
                image = images[key]
                image.extend(bytes(max(0, at - len(image))))
                image[at:at + len(data)] = data
            elif r.type == 'TRUNCATE':
                images[key] = bytearray(images[key][:b.length].ljust(b.length, b'\0'))
            elif r.type == 'ALLOCATE' and b.mode == 0:
                images[key].extend(bytes(max(0, b.offset + b.length - len(images[key]))))
            elif r.type == 'RENAME':
                names[b.path2] = names.pop(b.path)
            elif r.type == 'UNLINK':
                names.pop(b.path, None)
            elif r.type == 'LINK':
                names[b.path2] = names[b.path]
        return {n: bytes(images[k]) for n, k in names.items() if k in images}

    def check_files(self, what, expected):
        """Each of these names is in the log as it is on the disk."""
        made = self.files()
        for name in expected:
            path = os.path.join(self.folder, name)
            real = open(path, 'rb').read()
            check(made.get(path) == real, f'{what}: {name} is as the records make it',
                  f'{len(made.get(path, b""))} bytes of {len(real)}; {sorted(made)}')
        check(not self.of('TROUBLE') and self.trouble == 0, f'{what}: nothing was missed',
              [r.data for r in self.of('TROUBLE')])


PRELUDE = '''
import ctypes, os, sqlite3, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
def db(name="a.db", mode="wal"):
    c = sqlite3.connect(name, isolation_level=None, check_same_thread=False, timeout=20)
    c.execute("pragma journal_mode=" + mode)
    c.execute("create table if not exists t(a, b)")
    return c
def put(c, n=20):
    for i in range(n):
        c.execute("insert into t values(?, ?)", (i, "x" * 200))
'''


def folder(function):
    where = os.path.realpath(tempfile.mkdtemp(prefix='preload-'))
    try:
        function(where)
    except Exception as e:  # pylint: disable=broad-except
        check(False, function.__name__, repr(e))
    finally:
        shutil.rmtree(where, ignore_errors=True)


def modes(where):
    """What SQLite does in each journal mode is recorded, from the first byte."""
    for mode in ('delete', 'truncate', 'persist', 'wal'):
        name = f'{mode}.db'
        sub = os.path.join(where, mode)
        os.mkdir(sub)
        log = Log(sub)
        r = log.run('sqlite3', name, f'pragma journal_mode={mode}; create table t(a); '
                    'insert into t values(randomblob(9000)); begin; update t set a=1; rollback; vacuum;'
                    'delete from t; select count(*) from t;')
        check(r.stdout.split() == [mode, '0'], f'{mode}: the program is not disturbed', r.stdout + r.stderr)
        log.read()
        check(any(r.flags & DELTA for r in log.of('WRITE', moment=BEGIN)), f'{mode}: differences are written')
        log.check_files(mode, [name] + ([name + '-journal'] if mode in ('truncate', 'persist') else []))
        check(len(log.of('PROCESS')) == 1 and log.of('EXIT')[-1].result == 0, f'{mode}: begin and end')
        check(log.of('FILE')[0].flags & EXISTED == 0, f'{mode}: the database is new')
        check(bool(log.of('SYNC')) and bool(log.of('DIGEST', moment=END)), f'{mode}: syncs and digests')
        if mode == 'wal':
            check(any(r.flags & SHM for r in log.of('LOCK')), 'locks of the WAL index are recorded')
            check(not any(r.path.endswith('-shm') for r in log.of('WRITE', 'FILE')),
                  'the content of the WAL index is not')


def existed(where):
    """What a database and its log held before is in the recording, once, whoever comes first."""
    c = sqlite3.connect(os.path.join(where, 'a.db'))
    c.execute('pragma journal_mode=wal')
    c.execute('create table t(a,b)')
    c.execute('insert into t values(1, randomblob(50000))')
    c.commit()
    log = Log(where)
    log.python('''
pids = []
for i in range(4):
    pids.append(os.fork())
    if pids[-1] == 0:
        put(db()); os._exit(7)
print([os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in pids])
''')
    log.read()
    log.check_files('existed', ['a.db', 'a.db-wal'])
    begins = log.of('FILE', moment=BEGIN)
    check(sorted(os.path.basename(r.path) for r in begins) == ['a.db', 'a.db-wal'] and
          all(r.flags & EXISTED for r in begins), 'the content before is there once', begins)
    check(len(log.of('PROCESS')) == 5 and sorted(r.result for r in log.of('EXIT')) == [0, 7, 7, 7, 7],
          'five processes', log.of('PROCESS') + log.of('EXIT'))
    order = [r.pid for r in log.of('LOCK') if r.flags == SHM and r.offset == 120]
    check(len(set(order)) == 4, 'all four wrote', order)
    c.close()


def threads(where):
    """Threads, descriptors that are duplicated, inherited and closed by the dozen."""
    log = Log(where)
    log.python('''
c = db("a.db"); d = db("b.db", "delete")
ts = [threading.Thread(target=lambda n=n: put(db(n), 10)) for n in ("a.db", "b.db", "c.db")]
[t.start() for t in ts]; [t.join() for t in ts]
put(c); put(d)
fd = os.open("a.db-extra", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
os.write(fd, b"1" * 100)
two = os.dup(fd); os.close(fd)
os.write(two, b"2" * 100)
os.dup2(two, 90); os.close(two)
os.set_inheritable(90, True)
subprocess.run(["/bin/sh", "-c", "echo three >&90; exec 91>>a.db-extra; echo four >&91"], close_fds=False)
os.pwritev(90, [b"a", b"bc"], 300)
os.closerange(80, 100)
a = os.open("a.db-extra", os.O_WRONLY | os.O_APPEND)
os.write(a, b"end"); os.truncate("a.db-extra", 150); os.posix_fallocate(a, 0, 500)
os.close(a)
''')
    log.read()
    log.check_files('threads', ['a.db', 'b.db', 'c.db', 'a.db-extra'])
    check(len({r.tid for r in log.of('WRITE')}) >= 4, 'the threads are told apart')
    programs = [os.path.basename(r.path) for r in log.of('PROCESS')]
    check(any(p in ('dash', 'bash', 'sh') for p in programs), 'the shell is recorded', programs)


def children(where):
    """vfork, exec with no environment, static programs."""
    log = Log(where)
    log.python('''
c = db(); put(c, 3)
before = len(os.listdir("/proc/self/fd"))
for i in range(3):
    subprocess.run(["/bin/true"])          # vfork, and every descriptor closed in the child
put(c, 3)
subprocess.run([sys.executable, "-c", "import sqlite3; c=sqlite3.connect('e.db'); c.execute('create table t(a)')"], env={})
if os.fork() == 0:
    c2 = sqlite3.connect("f.db", isolation_level=None); c2.execute("create table t(a)")
    os.execve("/bin/sh", ["sh", "-c", "sqlite3 g.db 'create table t(a)'"], {"PATH": "/usr/bin:/bin"})
os.wait()
put(c, 3)
''')
    log.read()
    log.check_files('children', ['a.db', 'e.db', 'f.db', 'g.db'])
    pids = {}
    for r in log.of('PROCESS'):
        pids.setdefault(r.pid, []).append(os.path.basename(r.path))
    main = log.of('PROCESS')[0].pid
    check(all(len(v) == 1 for p, v in pids.items() if p == main), 'no child of vfork is its parent', pids)
    last = [r for r in log.of('WRITE') if r.pid == main][-1]
    check(not [r for r in log.of('CLOSE') if r.pid == main and r.path.endswith('-wal') and r.at < last.at],
          'what a child of vfork closes stays open in its parent', log.of('CLOSE'))
    closed = [r for r in log.of('CLOSE') if r.path.endswith('/f.db')]
    check(len(closed) == 1, 'an exec closes what is to be closed', log.of('CLOSE'))


def ways_to_execute(where):
    """Each of the C library's ways to execute a program takes the recorder along, also with an
    environment that does not know it, and hands over every argument."""
    log = Log(where)
    log.python('''
import ctypes
libc = ctypes.CDLL(None)
def env(name): return {"PATH": "/usr/bin:/bin", "NAME": name}
def envp(name): return (ctypes.c_char_p * 3)(b"PATH=/usr/bin:/bin", b"NAME=" + name.encode(), None)
shell = [b"sh", b"-c", b"sqlite3 $NAME.db 'create table t(a)'"]
ways = {
    "execl": lambda n: libc.execl(b"/bin/sh", *shell, None),
    "execlp": lambda n: libc.execlp(b"sh", *shell, None),
    "execle": lambda n: libc.execle(b"/bin/sh", *shell, None, envp(n)),
    "fexecve": lambda n: os.execve(os.open("/bin/sh", os.O_RDONLY), shell, env(n)),
}
for name, way in ways.items():
    if os.fork() == 0:
        if name in ("execl", "execlp"): os.environ["NAME"] = name
        way(name); os._exit(9)
for name in ("posix_spawn", "posix_spawnp"):
    getattr(os, name)("/bin/sh" if name == "posix_spawn" else "sh", shell, env(name))
for i in range(6): os.wait()
''')
    log.read()
    log.check_files('ways to execute', [f'{way}.db' for way in (
        'execl', 'execlp', 'execle', 'fexecve', 'posix_spawn', 'posix_spawnp')])


def names(where):
    """A database that is replaced by another, and one that is copied into place."""
    c = sqlite3.connect(os.path.join(where, 'new'))
    c.execute('create table t(a)')
    c.execute('insert into t values(randomblob(30000))')
    c.commit()
    c.close()
    log = Log(where)
    log.python('''
import shutil
c = db("a.db", "delete"); put(c, 2); c.close()
os.rename("new", "a.db")
c = sqlite3.connect("a.db", isolation_level=None); c.execute("insert into t values(2)"); c.close()
os.link("a.db", "a.db-2"); os.unlink("a.db-2")
shutil.copyfile("a.db", "copy.db"); shutil.copyfile("a.db", "kept.db")
c = sqlite3.connect("copy.db", isolation_level=None); c.execute("insert into t values(3)"); c.close()
with open("copy.db", "wb") as f: f.write(b"short")
with open("w.db", "wb") as f: f.write(open("a.db", "rb").read())
libc.sync()
''')
    log.read()
    log.check_files('names', ['a.db', 'copy.db', 'kept.db', 'w.db'])
    renames = log.of('RENAME', moment=BEGIN)
    check([os.path.basename(r.path) for r in renames] == ['new'], 'the rename', renames)
    check(not [r for r in log.of('FILE') if r.path.endswith('copy.db') and r.flags & EXISTED],
          'a copy by the kernel is recorded as it is made')
    check(len(log.of('SYNC_ALL', moment=END)) == 1, 'sync(2)')


def holes(where):
    """What goes past the recorder shows in the digest; a mapping is said."""
    log = Log(where)
    log.python('''
c = db("a.db", "delete"); put(c, 2)
fd = os.open("a.db-x", os.O_RDWR | os.O_CREAT)
os.write(fd, b"y" * 8192)
libc.syscall(1 if os.uname().machine == "x86_64" else 64, fd, b"unseen", 6)
import mmap
m = mmap.mmap(fd, 8192); m[0:4] = b"mmap"
c.close()
''')
    log.read()
    mapped = [os.path.basename(r.path) for r in log.of('MAPPED')]
    check(mapped == ['a.db-x'], 'a writable mapping is said', mapped)
    last = [r for r in log.of('DIGEST', moment=END) if r.path.endswith('-x')]
    check(len(last) == 1 and last[0].length == 8198, 'the digest is of what is there', last)
    made = log.files()[os.path.join(where, 'a.db-x')]
    check(len(made) == 8192, 'and differs from what was recorded')
    if shutil.which('xxhsum'):
        out = subprocess.run(['xxhsum', '-H3', os.path.join(where, 'a.db-x')], capture_output=True, text=True)
        want = re.search(r'[0-9a-f]{16}', out.stdout)
        check(want and int(want.group(), 16) == last[0].offset, 'the digest is XXH3-64', out.stdout)


def positions(where):
    """Output and marks stand between the calls between which they were written."""
    marks, output = os.path.join(where, 'marks'), os.path.join(where, 'out')
    log = Log(where, WATCH_OUTPUT, output, marks)
    with open(output, 'w', encoding='utf-8') as out:
        log.python('''
c = db(); c.execute("pragma synchronous=full")
import socket
a, b = socket.socketpair()
for i in range(3):
    c.execute("insert into t values(1,1)")
    fd = os.open(os.environ["PLUGPULL_MARK"], os.O_WRONLY | os.O_APPEND | os.O_CREAT); os.write(fd, b"ack %d\\n" % i); os.close(fd)
    print("done", i, flush=True)
    a.send(b"answer")
''', stdout=out)
    log.read()
    kinds = []
    for r in log.records:
        if r.type in ('MARK', 'OUTPUT') or (r.type == 'SYNC' and r.moment == END and
                                            log.by_offset[r.begin].ino != 0):
            kinds.append(r.type + (' ' + r.data.decode() if r.data else ''))
    text = ','.join(kinds)
    check(text.count('SYNC,MARK,OUTPUT,OUTPUT answer') == 3, 'marks, output and answers', text)
    m = log.of('MARK')
    check([(r.offset, r.length) for r in m] == [(0, 6), (6, 12), (12, 18)], 'each mark at its place', m)
    for i, r in enumerate(m):
        before = [x for x in log.of('SYNC', moment=END) if x.at < r.at]
        after = [x for x in log.of('SYNC', moment=END) if x.at > r.at]
        check(len(before) >= 1 and (i == 2 or len(after) >= 1), 'a mark is after its sync', text)
    check([r.data for r in log.of('OUTPUT') if r.data] == [b'answer'] * 3, 'what went to a socket', text)


def kills(where):
    """A kill at the n-th call: before it, after it, and inside a sync."""
    for moment in (1, 2, 3):
        sub = os.path.join(where, str(moment))
        os.mkdir(sub)
        log = Log(sub, kill=(moment, 3 if moment == 3 else 9))
        r = log.python('c = db(); c.execute("pragma synchronous=full"); put(c)')
        check(r.returncode == -signal.SIGKILL, f'kill {moment}: the program is killed', r.returncode)
        log.read()
        begun = log.of('WRITE', 'SYNC', 'DIRSYNC', 'TRUNCATE', 'UNLINK', 'RENAME', moment=BEGIN)
        ended = {r.begin for r in log.records if r.moment == END}
        open_ones = [r for r in begun if r.at not in ended]
        if moment == 3:
            check(len(open_ones) == 1 and 'SYNC' in open_ones[0].type, 'killed inside a sync', open_ones)
        else:
            calls = len(begun) + len(log.of('LOCK', 'UNLOCK'))
            check(not open_ones, f'kill {moment}: between two calls', open_ones)
            check(calls <= 9 if moment == 2 else calls <= 8, f'kill {moment}: at the ninth', calls)
        c = sqlite3.connect(os.path.join(sub, 'a.db'))
        check(c.execute('pragma integrity_check').fetchone()[0] == 'ok', 'the database is whole')
        c.close()
        log.check_files(f'kill {moment}', ['a.db'])


def locks(where):
    """Closing any descriptor of a file takes the process's locks on it away."""
    log = Log(where)
    log.python('''
c = db("a.db", "delete"); c.execute("begin immediate"); c.execute("insert into t values(1,2)")
os.close(os.open("a.db", os.O_RDONLY))
c.execute("commit")
''')
    log.read()
    unlocks = [r for r in log.of('UNLOCK') if r.length == 0 and r.offset == 0]
    writes = [r for r in log.of('WRITE') if r.ino == log.of('FILE')[0].ino]
    reserved = [r for r in log.of('LOCK') if r.offset == 0x40000001][-1]
    check(any(reserved.at < u.at < writes[-1].at for u in unlocks), 'the lost locks are unlocked', unlocks)


def limits(where):
    """No room for the mapping is said, once, and the program runs as it would."""
    log = Log(where)
    r = log.run('/bin/sh', '-c', f'ulimit -v 4000000; exec {PYTHON} -c "print(6*7)"')
    log.read()
    check(r.stdout == '42\n' and log.trouble & 4 and 'ulimit' in r.stderr, 'the address space is too small',
          r.stderr)
    r = subprocess.run([PYTHON, '-c', 'print(1)'], env=dict(os.environ, LD_PRELOAD=library),
                       capture_output=True, text=True, check=False)
    check(r.stdout == '1\n' and r.stderr == '', 'without $PLUGPULL_RECORDING nothing happens', r.stderr)


UNSEEN = '''
libc.fopen.restype = ctypes.c_void_p
def fwrite(name, data, mode=b"w"):
    f = ctypes.c_void_p(libc.fopen(name.encode(), mode)); libc.fwrite(data, 1, len(data), f); libc.fclose(f)
def pieces(name, data):
    f = open(name, "wb", 0); f.write(data[:10]); f.write(data[10:]); f.close()
image = open("before.db", "rb").read()
'''


def unseen_before(where):
    """What was written during the run, and not seen, does not pass for what was there before."""
    late = 'was written while the program ran, before it was known to be a database: '
    use = 'subprocess.run(["sqlite3", "a.db", "insert into t values(1)"], check=True)'
    # How the file was written; which file the trouble names, '' for none.
    cases = (
        ('fwrite("a.db", image)', 'a.db'),
        ('pieces("a.db", image)', 'a.db'),
        ('fwrite("old.db", image[:99], b"r+"); os.rename("old.db", "a.db")', 'a.db'),
        ('import mmap; m = mmap.mmap(os.open("old.db", os.O_RDWR), 0); m[60:64] = b"abcd"; '
         'os.rename("old.db", "a.db")', 'a.db'),
        ('fwrite("a.db", image); os.utime("a.db", (1, 1))', 'a.db'),
        ('os.rename("old.db", "a.db"); fwrite("a.db-journal", b"x" * 600)', 'a.db-journal'),
        ('os.rename("old.db", "a.db"); fwrite("a.db-wal", b"x" * 60)', 'a.db-wal'),
        (use.replace('insert into t values(1)', 'create table t(a)') + '; pieces("n", image); os.rename("n", "a.db")',
         'n'),
        ('os.truncate("old.db", 0); os.rename("old.db", "a.db"); sqlite3.connect("a.db").execute("create table t(a)")',
         'a.db'),
        ('os.rename("old.db", "a.db")', ''),
        ('open("a.db", "wb").write(image)', ''),
        ('subprocess.run(["cp", "before.db", "a.db"])', ''),
        ('subprocess.run(["cp", "before.db", "old.db"]); os.rename("old.db", "a.db")', ''),
        ('sqlite3.connect("old.db").execute("vacuum into \'a.db\'")', ''),
        (use.replace('insert into t values(1)', 'create table t(a)'), ''),
        ('open("a.db", "w").close();' + use.replace('insert into t values(1)', 'create table t(a)'), ''),
    )
    for i, (how, named) in enumerate(cases):
        sub = os.path.join(where, str(i))
        os.mkdir(sub)
        for name in ('before.db', 'old.db'):
            c = sqlite3.connect(os.path.join(sub, name))
            c.execute('pragma synchronous=off')
            c.execute('create table t(a)')
            c.commit()
            c.close()
        log = Log(sub)
        log.python(UNSEEN + how + '\n' + use.replace(', check=True', ''))
        log.read()
        check(log.troubles() == ([late + named] if named else []), how, log.troubles())


def emptied(where):
    """A database that is emptied by the first call that the recorder sees is one, with what it held."""
    c = sqlite3.connect(os.path.join(where, 'a.db'))
    c.execute('create table t(a)')
    c.commit()
    c.close()
    held = os.path.getsize(os.path.join(where, 'a.db'))
    log = Log(where)
    log.python('open("a.db", "wb").close(); c = db("a.db", "delete"); put(c, 2)')
    log.read()
    log.check_files('emptied', ['a.db'])
    check([r.length for r in log.of('FILE', moment=BEGIN)] == [held], 'what it held is there', log.of('FILE'))
    check([r for r in log.of('OPEN', moment=END) if r.flags & TRUNCATED], 'and that it was emptied')


def truncated(where):
    """Marks and output that the program takes away again are said; a first mark takes nothing away."""
    marks = '$PLUGPULL_MARK was truncated: append to it'
    output = "the file of the program's output was truncated"
    again = 'for i in 1, 2: open(os.environ["PLUGPULL_MARK"], "w").write("ack %d\\n" % i)\n'
    stdio = ('f = ctypes.c_void_p(libc.fopen(os.environ["PLUGPULL_MARK"].encode(), b"%s")); '
             'libc.fwrite(b"ack 3\\n", 1, 6, f); libc.fclose(f)\n')
    fopen = 'libc.fopen.restype = ctypes.c_void_p\n' + stdio % 'a' + stdio % 'w'
    shorter = ('open(os.environ["PLUGPULL_MARK"], "a").write("ack 1\\n"); c = db(); '
               'os.truncate(os.environ["PLUGPULL_MARK"], 0); put(c, 2)')
    cases = ((again, [marks]), (fopen, [marks]), (shorter, [marks]),
             ('open(os.environ["PLUGPULL_MARK"], "w").write("ack 1\\n")', []),
             ('print(1, flush=True); open("/dev/stdout", "w").write("2")', [output]),
             ('print(1, flush=True); open("/dev/stdout", "a").write("2")', []))
    for i, (how, expected) in enumerate(cases):
        sub = os.path.join(where, str(i))
        os.mkdir(sub)
        out, mark = os.path.join(sub, 'out'), os.path.join(sub, 'marks')
        open(mark, 'wb').close()
        log = Log(sub, WATCH_OUTPUT, out, mark)
        with open(out, 'ab') as f:
            log.python(how, stdout=f)
        log.read()
        check(log.troubles() == expected, how, log.troubles())


def by_other_names(where):
    """The file of marks is known by whatever name it is opened; if nobody opened it, that is said."""
    opens = ('os.chdir(os.path.dirname(m)); open("marks", "a")', 'os.symlink(m, "l"); open("l", "a")',
             'os.symlink(m, "l"); libc.fopen.restype = ctypes.c_void_p; libc.fopen(b"l", b"a")')
    for i, how in enumerate(opens):
        sub = os.path.join(where, str(i))
        os.mkdir(sub)
        os.mkdir(os.path.join(sub, 'elsewhere'))
        mark = os.path.join(sub, 'elsewhere', 'marks')
        open(mark, 'wb').close()
        log = Log(sub, 0, '', mark)
        log.python('m = os.environ["PLUGPULL_MARK"]; ' + how)
        with open(log.path, 'rb') as f:
            flags = HEADER.unpack(f.read(HEADER.size))[2]
        check(flags & WATCH_MARKS, how, flags)
    r = subprocess.run([os.path.abspath(sys.argv[1]), 'test', '--', PYTHON, '-c', PRELUDE + '''
c = db("a.db", "delete")
fd = libc.syscall(257 if os.uname().machine == "x86_64" else 56, -100, os.environ["PLUGPULL_MARK"].encode(), 0o2001)
os.write(fd, b"ack 1\\n")
'''], cwd=where, capture_output=True, text=True, timeout=60, check=False)
    check(r.returncode == 4 and 'when the marks were made is not known: use --ack mark' in r.stdout,
          'marks that nobody saw', r.stdout + r.stderr)


def large_unlinked(where):
    """A large file is compared before it is unlinked, when it is still open: later nobody does."""
    log = Log(where)
    log.python('''
c = db("a.db", "delete")
fd = os.open("a.db-x", os.O_RDWR | os.O_CREAT)
os.posix_fallocate(fd, 0, 17 << 20); os.write(fd, b"y" * 100)
os.unlink("a.db-x"); os.close(fd)
''')
    log.read()
    digests = [r for r in log.of('DIGEST', moment=END) if r.path.endswith('-x')]
    unlink = [r for r in log.of('UNLINK', moment=BEGIN) if r.path.endswith('-x')]
    check(len(digests) == 1 and digests[0].length == 17 << 20 and digests[0].at < unlink[0].at,
          'the digest of a large file that is unlinked', digests)


OWN_TRACE = '''
c = sqlite3.connect("a.db", isolation_level=None); said = []
c.execute("create table t(x)")
c.set_trace_callback(said.append)
c.execute("insert into t values(1)"); c.execute("insert into t values(2)")
c.set_trace_callback(None)
c.execute("insert into t values(3)")
print(said)
'''
# A program that dlopens one SQLite where names are not found by others, sets it up before, and
# takes back all automatic extensions between two connections.
LOCAL = '''#include <dlfcn.h>
#include <stdio.h>
int main(void)
{ void *l = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL), *db = 0;
  int (*configure)(int, ...) = (int (*)(int, ...))dlsym(l, "sqlite3_config");
  int (*open)(const char *, void **) = (int (*)(const char *, void **))dlsym(l, "sqlite3_open");
  int (*exec)(void *, const char *, void *, void *, void *) =
    (int (*)(void *, const char *, void *, void *, void *))dlsym(l, "sqlite3_exec");
  int (*close)(void *) = (int (*)(void *))dlsym(l, "sqlite3_close");
  void (*reset)(void) = (void (*)(void))dlsym(l, "sqlite3_reset_auto_extension");
  int bad = configure(2);
  bad |= open("a.db", &db) | exec(db, "CREATE TABLE t(x); INSERT INTO t VALUES (1)", 0, 0, 0) | close(db);
  reset();
  bad |= open("a.db", &db) | exec(db, "INSERT INTO t VALUES (2)", 0, 0, 0) | close(db);
  return bad; }
'''


def statements(where):
    """What SQLite runs is in the log, before what comes of it; once where nothing came of it."""
    log = Log(where)
    log.python('''
a, b = (sqlite3.connect(n, isolation_level=None) for n in ("a.db", "b.db"))
m = sqlite3.connect(":memory:"); m.execute("create table nobody(x)")
a.execute("create table t(x)"); b.execute("create table u(x)")
for i in range(2):
    a.execute("insert into t values(?)", ("secret",)); b.execute("insert into u select " + repr("y" * 9000))
a.execute("begin")
for i in range(500): a.execute("insert into t values(?)", (i,))
a.execute("commit")
''')
    log.read()
    said = [r for r in log.of('STATEMENT') if not r.data.startswith(b'pragma')]
    texts = [r.data.decode() for r in said]
    long = ('insert into u select \'' + 'y' * 9000)[:4096]
    insert = 'insert into t values(?)'
    check(texts[:7] == ['create table t(x)', 'create table u(x)', insert, long, insert, long, 'begin'] and
          texts[-1] == 'commit' and set(texts[7:-1]) == {insert} and len(texts) < 20,
          'statements of two connections, in order, without values, cut, not one by one', texts)
    check(len({r.offset for r in said}) == 2, 'statements: two connections', said)
    names = {(r.dev, r.ino): r.path for r in log.of('OPEN', 'FILE') if r.path.endswith('.db')}
    for i, (statement, after) in enumerate(zip(said[:6], said[1:7])):
        between = [names.get((r.dev, r.ino)) for r in log.of('WRITE', moment=BEGIN)
                   if statement.at < r.at < after.at]
        check(set(between) - {None} == {os.path.join(where, 'ab'[i % 2] + '.db')},
              f'what comes of {statement.data[:30]!r} stands behind it', between)

    # The program's own trace is the program's; without one it is as before.
    sub = os.path.join(where, 'own')
    os.mkdir(sub)
    log = Log(sub)
    expected = subprocess.run([PYTHON, '-c', PRELUDE + OWN_TRACE], cwd=sub, capture_output=True, text=True,
                              timeout=60, check=True).stdout
    os.remove(os.path.join(sub, 'a.db'))
    check(log.python(OWN_TRACE).stdout == expected and 'values(2)' in expected and
          'values(3)' not in expected, "a program's own trace", expected)
    log.read()
    check([r.data for r in log.of('STATEMENT') if b'table' in r.data] == [b'create table t(x)'],
          'statements before the own trace', log.of('STATEMENT'))

    sub = os.path.join(where, 'local')
    os.mkdir(sub)
    with open(os.path.join(sub, 'p.c'), 'w', encoding='utf-8') as f:
        f.write(LOCAL)
    compiled = subprocess.run(['cc', '-o', 'p', 'p.c', '-ldl'], cwd=sub, capture_output=True, text=True,
                              check=False)
    check(compiled.returncode == 0, 'a C program', compiled.stderr)
    log = Log(sub)
    check(log.run('./p').returncode == 0, 'an SQLite that is loaded apart works as ever')
    log.read()
    check([r.data for r in log.of('STATEMENT')] == [b'CREATE TABLE t(x);', b'INSERT INTO t VALUES (1)'],
          'statements of an SQLite that is loaded apart', log.of('STATEMENT'))


def shown_statements(where):
    """In a trace they stand before their operations, with their connections; the shell's, too."""
    plugpull = os.path.abspath(sys.argv[1])

    def show(*command):
        r = subprocess.run([plugpull, 'record', '-o', 't.trace', '--', *command], cwd=where, timeout=60,
                           capture_output=True, text=True, check=False)
        check(r.returncode == 0, 'record', r.stderr)
        return subprocess.run([plugpull, 'trace', 'show', 't.trace'], cwd=where, capture_output=True,
                              text=True, timeout=60, check=True).stdout.splitlines()

    lines = show(PYTHON, '-c', PRELUDE + '''
m = sqlite3.connect(":memory:"); m.execute("create table nobody(x)")
a = sqlite3.connect("a.db", isolation_level=None)
a.execute("create table t(x)"); a.execute("select 1")
b = sqlite3.connect("b.db", isolation_level=None); b.execute("create table u(x)")
m.execute("insert into nobody values(1)")
a.execute("insert into t values(1)"); b.execute("insert into u values(2)")
''')
    said, written = [], {}
    for line in lines:
        sql = re.search(r'^# process=1 connection=(\d+) .*sql="(.*)"$', line)
        write = re.search(r'^\d+ write process=1 thread=1 connection=(\d+)', line)
        if sql and 'pragma' not in sql.group(2):
            said.append((sql.group(2), sql.group(1)))
        elif write and said:
            written.setdefault(said[-1], set()).add(write.group(1))
    check([s for s, _ in said] == ['create table t(x)', 'select 1', 'create table u(x)',
                                   'insert into t values(1)', 'insert into u values(2)'],
          'trace show: the statements', said)
    check(len(written) == 4 and all(c == {key[1]} for key, c in written.items()) and
          len({c for _, c in said}) == 2 and said[0][1] == said[1][1], 'trace show: each before its writes, by its connection', written)
    lines = show('sqlite3', 'c.db', "CREATE TABLE t(x); INSERT INTO t VALUES ('it''s');")
    check([line.partition('sql=')[2] for line in lines if line.startswith('# ')] ==
          ['"CREATE TABLE t(x);"', '"INSERT INTO t VALUES (\'it\'\'s\');"'], "trace show: the shell's", lines)


for test in (modes, existed, threads, children, ways_to_execute, names, holes, unseen_before, emptied, truncated, by_other_names,
             large_unlinked, positions, kills, locks, limits, statements, shown_statements):
    folder(test)
print(f'{passed} passed, {failed} failed')
sys.exit(failed != 0)
