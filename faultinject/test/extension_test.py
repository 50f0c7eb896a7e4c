#!/usr/bin/env python3
"""The loadable extension and plugpull.h, in programs that are not ours.

    extension_test.py PLUGPULL

plugpull.so is looked for beside PLUGPULL. It is loaded into the sqlite3 shell and into the sqlite3
module of the system's python3 (/usr/bin/python3, whatever runs this file), and what stands in the
log is compared with what strace saw of the same process and with the files that are there in the
end. Where a process may not be traced the first comparison is left out, and where there is no C++
compiler that of plugpull.h; both are said.
The last line is 'N passed, N failed'.
"""
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
HEADERS = os.path.join(HERE, '..', 'record')
PYTHON = '/usr/bin/python3'

# struct reclog_record, and its types, of record/log.h.
RECORD = struct.Struct('<QIIBBHIIIQQQQQqIIQ')
START, WHOLE = 2 << 20, 0x77686f6c
PROCESS, FILE, CONTENT, OPEN, WRITE, TRUNCATE = 1, 4, 5, 6, 7, 8
SYNC, DIRSYNC, UNLINK, LOCK, UNLOCK, DIGEST, MARK, TROUBLE = 10, 11, 14, 16, 17, 19, 22, 23
EXISTED, DATA_ONLY, SHARED, SHM = 1, 4, 8, 16
BEGIN, END = 2, 3

# What sqlite does in every journal mode, with a transaction over two files, a rollback, a spill to
# the disk and a file that becomes shorter.
ALL_MODES = '''
PRAGMA journal_mode=delete; CREATE TABLE t(x); INSERT INTO t VALUES (1);
PRAGMA journal_mode=truncate; INSERT INTO t VALUES (2);
PRAGMA journal_mode=persist; INSERT INTO t VALUES (3);
PRAGMA synchronous=extra; PRAGMA journal_mode=delete; INSERT INTO t VALUES (4);
ATTACH 'second.db' AS b; CREATE TABLE b.u(y);
BEGIN; INSERT INTO t VALUES (5); INSERT INTO u VALUES (6); COMMIT;
DETACH b;
BEGIN; INSERT INTO t VALUES (7); ROLLBACK;
PRAGMA cache_size=5;
BEGIN; INSERT INTO t WITH c(i) AS (VALUES (1) UNION ALL SELECT i+1 FROM c WHERE i < 60)
  SELECT hex(randomblob(1500)) FROM c; COMMIT;
PRAGMA journal_mode=wal; INSERT INTO t VALUES (8); PRAGMA wal_checkpoint; INSERT INTO t VALUES (9);
DELETE FROM t WHERE length(x) > 10; VACUUM; PRAGMA wal_checkpoint(truncate);
PRAGMA journal_mode=memory; INSERT INTO t VALUES (10);
PRAGMA journal_mode=off; PRAGMA synchronous=off; INSERT INTO t VALUES (11);
'''


class Test:
    passed = failed = 0

    def __init__(self, plugpull):
        self.plugpull = plugpull

    def run(self, *arguments):
        done = subprocess.run([self.plugpull, *arguments], timeout=60, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def check(self, ok, what, detail=''):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAILED: {what}\n    {detail}')

    def equal(self, got, expected, what):
        self.check(got == expected, what, f'expected {expected!r:.300}\n    got      {got!r:.300}')

    def whole(self, log):
        """plugpull reads the log, and what it was told of the files agrees with their bytes."""
        rc, out = self.run('trace', 'show', log)
        holes = [line for line in out.split('\n') if ' hole ' in f' {line} ']
        self.check(rc == 0 and not holes, 'the trace has no hole', holes or out[:300])

    def files(self, log, folder):
        """The log makes the files that are there."""
        self.whole(log)
        made, there = files_of_log(log), files_there(folder)
        self.equal(sorted(made), sorted(there), 'the log makes the files')
        for name in sorted(set(made) & set(there)):
            self.check(made[name] == there[name], f'the bytes of {name}',
                       f'{len(made[name])} bytes in the log, {len(there[name])} there')


# ---- the log ----

def records(path):
    """Yields (type, moment, record as a dictionary) of a log."""
    names = ('tag size state type moment flags pid tid mode begin dev ino offset length result '
             'path_size path2_size data_size').split()
    with open(path, 'rb') as f:
        tail = struct.unpack('<QIIQ', f.read(24))[3]
        at = START
        while at < tail:
            f.seek(at)
            r = dict(zip(names, RECORD.unpack(f.read(RECORD.size))))
            if r['state'] != WHOLE or r['size'] == 0:
                raise ValueError(f'{path}: record at {at} is not whole')
            r['at'] = at
            r['path'] = os.path.basename(f.read(r['path_size']).rstrip(b'\0').decode())
            f.read(r['path2_size'])
            r['data'] = f.read(r['data_size'])
            at += r['size']
            yield r


def calls_of_log(path):
    """What os_unix asked the kernel, as it stands in the log."""
    calls, begun, names = [], {}, {}
    for r in records(path):
        kind = r['type']
        if r['moment'] == BEGIN:
            begun[r['at']] = r
            continue
        begin = begun[r['begin']] if r['moment'] == END else None
        name = r['path'] or names.get(r['ino'])
        if kind == OPEN and r['result'] >= 0:
            names[r['ino']] = name
            calls.append(('open' if r['flags'] & EXISTED else 'create', name))
        elif kind == WRITE:
            calls.append(('write', name, begin['offset'], begin['length'], r['result']))
        elif kind == TRUNCATE:
            calls.append(('truncate', name, r['length']))
        elif kind == SYNC:
            calls.append(('sync' if r['flags'] & DATA_ONLY else 'fsync', name))
        elif kind == DIRSYNC:
            calls.append(('dirsync',))
        elif kind == UNLINK:
            calls.append(('unlink', name))
        elif kind in (LOCK, UNLOCK):
            how = 'UN' if kind == UNLOCK else 'RD' if r['flags'] & SHARED else 'WR'
            calls.append(('lock', name, how, r['offset'], r['length']))
    return calls


def calls_of_strace(path, folder):
    """The same from the text of strace."""
    calls = []
    inside = re.escape(folder)
    one = re.compile(rf'^\d+ +(\w+)\((?:AT_FDCWD<[^>]*>, )?(?:(?:\d+<({inside}[^>]*?)>(?:\(deleted\))?)'
                     rf'|"({inside}[^"]*)")(.*)\) += (-?\d+)')
    with open(path, encoding='utf-8', errors='replace') as f:
        for line in f:
            m = one.match(line)
            if not m:
                continue
            call, rest, result = m.group(1), m.group(4), int(m.group(5))
            name = os.path.basename(m.group(2) or m.group(3))
            if name == 'log':
                continue
            if call == 'openat' and '.db' in name and not name.endswith('-shm') and result >= 0:
                calls.append(('create' if 'O_EXCL' in rest else 'open', name))
            elif call == 'pwrite64' and not name.endswith('-shm'):
                size, offset = map(int, re.search(r', (\d+), (\d+)$', rest).groups())
                calls.append(('write', name, offset, size, result))
            elif call == 'ftruncate' and not name.endswith('-shm'):
                calls.append(('truncate', name, int(rest[2:])))
            elif call == 'fdatasync':
                calls.append(('sync', name) if '.db' in name else ('dirsync',))
            elif call == 'fsync':
                calls.append(('fsync', name))
            elif call == 'unlink' and not name.endswith('-shm') and result == 0:
                calls.append(('unlink', name))
            elif call == 'fcntl' and 'F_SETLK' in rest and result == 0:
                how, offset, length = re.search(
                    r'l_type=F_(..)LC?K, .*l_start=(\d+), l_len=(\d+)', rest).groups()
                calls.append(('lock', name, how, int(offset), int(length)))
    return calls


def files_of_log(path):
    """What the log says that the files hold in the end, by name."""
    data, names = {}, {}
    for r in records(path):
        kind, ino = r['type'], r['ino']
        if kind == FILE and r['moment'] == BEGIN:
            names[r['path']] = ino
            data[ino] = bytearray(r['length'])
        elif kind == CONTENT:
            data[ino][r['offset']:r['offset'] + len(r['data'])] = r['data']
        elif kind == OPEN and r['moment'] != BEGIN and r['result'] >= 0:
            if not r['flags'] & EXISTED:
                data[ino] = bytearray()
            names[r['path']] = ino
        elif kind == WRITE and r['moment'] == BEGIN:
            end = r['offset'] + len(r['data'])
            data[ino].extend(bytes(max(0, end - len(data[ino]))))
            data[ino][r['offset']:end] = r['data']
        elif kind == TRUNCATE and r['moment'] == END:
            del data[ino][r['length']:]
            data[ino].extend(bytes(r['length'] - len(data[ino])))
        elif kind == UNLINK and r['moment'] == END and r['result'] == 0:
            names.pop(r['path'], None)
    return {name: bytes(data[ino]) for name, ino in names.items()}


def files_there(folder):
    found = {}
    for name in os.listdir(folder):
        if '.db' in name and not name.endswith('-shm'):
            with open(os.path.join(folder, name), 'rb') as f:
                found[name] = f.read()
    return found


def overlaps(path):
    """Calls that began inside another one; in one thread there are none."""
    open_call, found = None, []
    for r in records(path):
        if r['moment'] == BEGIN:
            if open_call is not None:
                found.append(r['at'])
            open_call = r['at']
        elif r['moment'] == END:
            open_call = None
    return found


def conflicts(path):
    """Locks that two processes have at one time, in the order of the log; and how many there were.
    The byte ranges are those of os_unix, so each is held or given up as a whole."""
    ranges = {(1 << 30, 1): ['pending'], ((1 << 30) + 1, 1): ['reserved'],
              ((1 << 30) + 2, 510): ['shared'], (1 << 30, 2): ['pending', 'reserved'],
              (0, 0): ['pending', 'reserved', 'shared']}
    held, found, count = {}, [], 0
    for r in records(path):
        if r['type'] not in (LOCK, UNLOCK) or r['flags'] & SHM:
            continue
        for name in ranges[r['offset'], r['length']]:
            owners = held.setdefault((r['ino'], name), {})
            owners.pop(r['pid'], None)
            if r['type'] == UNLOCK:
                continue
            count += 1
            shared = bool(r['flags'] & SHARED)
            if any(not (shared and other) for other in owners.values()):
                found.append((r['at'], name))
            owners[r['pid']] = shared
    return found, count


def texts(path, kind):
    return [r['data'].decode() for r in records(path) if r['type'] == kind]


# ---- programs ----

class Program:
    """Runs the shell and Python in a folder of its own."""

    def __init__(self, extension, folder):
        self.extension, self.folder = extension, folder
        os.mkdir(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, argv, text=None, **environment):
        env = {k: v for k, v in os.environ.items() if not k.startswith('PLUGPULL_')}
        env.update(environment)
        done = subprocess.run(argv, input=text, cwd=self.folder, env=env, timeout=60, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return done.returncode, done.stdout, done.stderr

    def shell(self, text, database=None, before=(), **environment):
        """The sqlite3 shell. Its output."""
        argv = [*before, 'sqlite3', '-batch', *([database] if database else [])]
        _, out, err = self.run(argv, f'.load {self.extension}\n' + textwrap.dedent(text),
                               **environment)
        return (out + err).split('\n')

    def python(self, text, **environment):
        """The system's Python, with the extension loaded on a connection to ':memory:'. Its
        output."""
        head = textwrap.dedent('''
            import sqlite3, sys
            loader = sqlite3.connect(':memory:')
            loader.enable_load_extension(True)
            loader.load_extension(sys.argv[1])
            def ask(sql):
                try:
                    return loader.execute(sql).fetchone()[0]
                except sqlite3.Error as e:
                    return str(e)
            ''')
        _, out, err = self.run([PYTHON, '-c', head + textwrap.dedent(text), self.extension],
                               **environment)
        return (out + err).split('\n')


# ---- the checks ----

def can_trace(program):
    try:
        return program.run(['strace', '-o', '/dev/null', 'true'])[0] == 0
    except OSError:
        return False


def check_shell(t, p):
    """The shell in every journal mode: the log holds what strace sees, call by call, and ends with
    the files as they are."""
    before = []
    if can_trace(p):
        before = ['strace', '-f', '-y', '-o', p.path('strace'), '-e',
                  'trace=openat,pwrite64,ftruncate,fdatasync,fsync,unlink,fcntl']
    else:
        print('no strace here: the log is compared with the files only')
    out = p.shell("SELECT plugpull_record('log');\n.open first.db\n.vfsname\n"
                  + ALL_MODES + ".open first.db\nSELECT plugpull_ack('all'), plugpull_mark('a\nb');", before=before)
    t.equal((out[0], out[1]), ('log', 'plugpull-record/unix'), 'the VFS is in use')
    t.check('1|1' in out, 'ack and mark are noted', out)
    logged = calls_of_log(p.path('log'))
    if before:
        seen = calls_of_strace(p.path('strace'), p.folder)
        different = [i for i, (a, b) in enumerate(zip(logged, seen)) if a != b]
        t.check(logged == seen, 'the log is what strace saw',
                f'{len(logged)} calls, strace {len(seen)}; the first difference: '
                + (f'{logged[different[0]]} and {seen[different[0]]}' if different else 'length'))
    for kind in ('create', 'write', 'truncate', 'sync', 'dirsync', 'unlink', 'lock'):
        t.check(any(c[0] == kind for c in logged), f'the log has a {kind}')
    t.equal([r['path'] for r in records(p.path('log')) if r['type'] == FILE], [],
            'no file was there before')
    t.equal(sorted({r['path'] for r in records(p.path('log')) if r['type'] == DIGEST}),
            sorted({c[1] for c in logged if c[0] == 'create'}), 'each file is compared at its end')
    t.equal(overlaps(p.path('log')), [], 'each call ends before the next begins')
    t.check(all((r['flags'] & SHM != 0) == r['path'].endswith('-shm')
                for r in records(p.path('log')) if r['type'] in (LOCK, UNLOCK)),
            'locks of the WAL index are told apart')
    t.check(any(c[0] == 'create' and '-mj' in c[1] for c in logged), 'the super-journal is logged')
    t.check(any(c[0] == 'lock' and c[1] == 'first.db-shm' for c in logged),
            'the locks of the WAL index are logged')
    t.files(p.path('log'), p.folder)
    t.equal(texts(p.path('log'), MARK), ['ack all\n', 'mark a b\n'], 'the notes, a line each')
    t.equal(texts(p.path('log'), TROUBLE), [], 'nothing was missed')


def check_python(t, p):
    """Python's sqlite3: threads, two connections that share locks, a child that goes on after
    fork(); the files that were there before, with a log of the WAL."""
    p.shell("PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES (1);\n"
            ".filectrl persist_wal 1\nINSERT INTO t VALUES (2);", database='old.db')
    with open(p.path('old.db-mj0123ABCD'), 'w', encoding='utf-8') as f:
        f.write('nobody opens this')
    before = files_there(p.folder)
    out = p.python('''
        import os, threading
        print(ask("SELECT plugpull_record('log')"))
        def work():
            db = sqlite3.connect('old.db', timeout=20)
            for i in range(5):
                db.execute('INSERT INTO t VALUES (?)', (i,))
                db.commit()
                db.execute("SELECT plugpull_ack('row')").fetchone()
            db.close()
        threads = [threading.Thread(target=work) for _ in range(3)]
        for x in threads: x.start()
        for x in threads: x.join()
        if os.fork() == 0:
            work()
            os._exit(0)
        print(os.wait()[1])
        db = sqlite3.connect('old.db')
        print(db.execute('SELECT count(*) FROM t').fetchone()[0])
        ''')
    t.equal(out[:3], ['log', '0', '22'], 'Python works as without')
    log = list(records(p.path('log')))
    t.equal(len({r['pid'] for r in log}), 2, 'two processes')
    t.equal(len([r for r in log if r['type'] == PROCESS]), 2, 'each says that it began')
    t.check(len({r['tid'] for r in log if r['type'] == WRITE}) >= 4, 'each thread is told apart')
    bases = {r['path']: r['length'] for r in log
             if r['type'] == FILE and r['moment'] == END}
    t.equal(bases, {name: len(data) for name, data in before.items()}, 'each old file, once')
    t.files(p.path('log'), p.folder)
    t.equal(texts(p.path('log'), TROUBLE), [], 'nothing was missed')


def check_processes(t, p):
    """Several processes that find PLUGPULL_RECORDING record into one log at once. The first one that
    opens an old file records what it holds, and in the order of the log nobody has a lock that
    somebody else has, although they fight for it."""
    p.shell('CREATE TABLE t(x);', database='a.db')
    old = os.path.getsize(p.path('a.db'))
    out = p.python('''
        import os
        pids = [os.spawnl(os.P_NOWAIT, sys.executable, sys.executable, '-c', """if 1:
            import sqlite3, sys
            loader = sqlite3.connect(':memory:')
            loader.enable_load_extension(True)
            loader.load_extension(sys.argv[1])
            db = sqlite3.connect('a.db', timeout=20, isolation_level=None)
            db.execute('PRAGMA synchronous=off')
            db.execute('PRAGMA busy_timeout=0')
            done = 0
            while done < 50:
                try:
                    db.execute('BEGIN IMMEDIATE')
                except sqlite3.OperationalError:
                    continue
                db.execute('INSERT INTO t VALUES (1)')
                while db.in_transaction:
                    try:
                        db.execute('COMMIT')
                    except sqlite3.OperationalError:
                        pass
                done += 1
            """, sys.argv[1]) for i in range(3)]
        print([os.waitpid(pid, 0)[1] for pid in pids])
        ''', PLUGPULL_RECORDING=p.path('log'))
    t.check(out[0] == '[0, 0, 0]', 'the inserts', out)
    log = list(records(p.path('log')))
    t.equal([r['length'] for r in log if r['type'] == FILE and r['moment'] == END], [old],
            'the old file, once')
    t.equal(len({r['pid'] for r in log}), 3, 'three processes')
    found, count = conflicts(p.path('log'))
    t.equal(found, [], 'no lock is held twice')
    t.check(count > 150 * 3, 'there were locks', count)
    t.files(p.path('log'), p.folder)


def check_grades(t, p):
    """`plugpull explore LOG`: settings that keep what plugpull_ack() promised are durable, and those
    that do not are not."""
    for mode, synchronous, grade in (('wal', 'full', 'durable'), ('delete', 'extra', 'durable'),
                                     ('delete', 'full', 'consistent'),
                                     ('wal', 'normal', 'consistent'),
                                     ('delete', 'off', 'corrupt')):
        name = f'{mode}-{synchronous}'
        p.shell(f'''
            SELECT plugpull_record('{name}');
            .open {name}.db
            PRAGMA journal_mode={mode}; PRAGMA synchronous={synchronous};
            CREATE TABLE t(x, y); CREATE INDEX i ON t(y); SELECT plugpull_ack('made');
            INSERT INTO t VALUES (1, hex(randomblob(500))); SELECT plugpull_ack('one');
            INSERT INTO t VALUES (2, hex(randomblob(900))); SELECT plugpull_ack('two');''')
        t.whole(p.path(name))
        _, out = t.run('explore', p.path(name))
        words = out.split() + ['', '']
        t.equal(words[1], grade, f'the grade of {name}')


def check_unseen(t, p):
    """What was opened before the loading, or through another VFS, is not recorded, and nobody is
    told that it was."""
    out = p.shell("SELECT plugpull_record('log');", database='a.db')
    t.check(any('before the extension was loaded' in line for line in out), 'refused', out)
    t.check(not os.path.exists(p.path('log')), 'and no log is made')
    p.shell('CREATE TABLE t(x);', database='a.db', PLUGPULL_RECORDING=p.path('log'))
    t.check(any('before the extension' in text for text in texts(p.path('log'), TROUBLE)),
            'the log says so')
    for how in ("db = early", "db = sqlite3.connect('file:a.db?vfs=unix', uri=True)"):
        os.remove(p.path('log'))
        p.run([PYTHON, '-c', textwrap.dedent(f'''
            import sqlite3, sys
            early = sqlite3.connect('a.db')
            early.execute('PRAGMA journal_mode=memory')
            early.execute('SELECT * FROM t').fetchall()
            loader = sqlite3.connect(':memory:')
            loader.enable_load_extension(True)
            loader.load_extension(sys.argv[1])
            loader.execute("SELECT plugpull_record('log')")
            late = sqlite3.connect('a.db')
            late.execute('SELECT * FROM t').fetchall()
            {how}
            db.execute('INSERT INTO t VALUES (1)')
            db.commit()'''), p.extension])
        t.check(any('syncs are not seen' in text for text in texts(p.path('log'), TROUBLE)),
                'a write of such a connection is told', how)
        rc, out = t.run('explore', p.path('log'))
        t.check(rc == 4 and 'the recording has a hole' in out, 'and it is not graded', out)


def check_functions(t, p):
    """Each wrong use has one clear line; each right one the answer that the header promises."""
    out = p.python('''
        print(ask("SELECT plugpull_ack('x')"), ask("SELECT plugpull_mark('x')"))
        print(ask("SELECT plugpull_stop()"))
        print(ask("SELECT plugpull_record('/no/such/folder/log')"))
        print(ask("SELECT plugpull_record('')"))
        print(ask("SELECT plugpull_record('one')"))
        print(ask("SELECT plugpull_record('two')"))
        db = sqlite3.connect('a.db', isolation_level=None)
        print(ask("SELECT plugpull_stop()"))
        db.execute('BEGIN')
        try:
            db.execute("SELECT plugpull_ack('x')").fetchone()
        except sqlite3.Error as e:
            print(e)
        db.execute('COMMIT')
        print(db.execute("SELECT plugpull_ack('y')").fetchone()[0])
        db.close()
        print(ask("SELECT plugpull_stop()"))
        print(ask("SELECT plugpull_record('one')"))
        print(ask("SELECT plugpull_record('two')"))
        db = sqlite3.connect('a.db')
        print(ask("SELECT plugpull_record('three')"))
        db.execute('CREATE TABLE t(x)')
        db.close()
        print(ask("SELECT plugpull_stop()"))
        db = sqlite3.connect('a.db', isolation_level=None)
        db.execute('INSERT INTO t VALUES (1)')
        print(ask("SELECT plugpull_record('three')"))
        ''')
    expected = ['0 0', 'no recording runs', '/no/such/folder/log: No such file or directory',
                'plugpull_record: a file name is needed', 'one', 'a recording runs already, into ',
                'a database is still open: close it first', 'plugpull_ack: a transaction is open, ',
                '1', '1', 'one exists already; remove it, ', 'two', 'a recording runs already, ',
                '1', 'a database is open: begin the recording first, ']
    for line, start in zip(out, expected):
        t.check(line.startswith(start), 'the answer', f'expected {start!r}\n    got      {line!r}')
    t.equal(len(out), len(expected) + 1, 'an answer each')
    t.equal(texts(p.path('one'), MARK), ['ack y\n'], 'only the promise that was accepted')
    writes = [len([r for r in records(p.path(name)) if r['type'] == WRITE]) > 0
              for name in ('one', 'two')]
    t.equal(writes, [False, True], 'each log has what happened while it ran')
    with open(p.path('none'), 'w', encoding='utf-8') as f:
        f.write('no log')
    out = p.shell('SELECT 1;', PLUGPULL_RECORDING=p.path('none'))
    t.check(any('PLUGPULL_RECORDING' in line and 'no recording' in line for line in out),
            'a file that is no log', out)
    out = p.shell("SELECT plugpull_ack('a'), plugpull_mark('b');", PLUGPULL_MARK=p.path('marks'))
    with open(p.path('marks'), encoding='utf-8') as f:
        t.equal((out[0], f.read()), ('1|1', 'ack a\nmark b\n'), 'without a log: $PLUGPULL_MARK')


PROGRAM = r'''
#include "plugpull.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void *many(void *number)
{
	int i;

	for (i = 0; i < 200; i++)
		if (plugpull_ack((const char *)number) != 1)
			return number;
	return NULL;
}

int main(void)
{
	static char names[4][2] = {"a", "b", "c", "d"};
	char text[3000];
	pthread_t threads[4];
	void *wrong;
	int i, n = 0;

	errno = 4711;
	n = plugpull_mark("one\ntwo\r");
	printf("%d %d\n", n, errno == 4711);
	if (n != 1)
		return 0;
	memset(text, 'x', sizeof text);
	memcpy(text + 999, "\xc3\xa4", 2);
	text[2999] = '\0';
	printf("%d\n", plugpull_ack(text));
	for (i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, many, names[i]) != 0)
			return 1;
	for (i = 0; i < 4; i++) {
		(void)pthread_join(threads[i], &wrong);
		if (wrong != NULL)
			puts("wrong");
	}
	return 0;
}
'''


def check_header(t, p):
    """plugpull.h compiles as C99 and as C++ without a warning, and each call is one whole line."""
    warnings = ['-Wall', '-Wextra', '-Wshadow', '-Wconversion', '-pedantic', '-Werror']
    for compiler, standard, name in (('cc', 'c99', 'a.c'), ('c++', 'c++98', 'a.cc')):
        if compiler == 'c++' and not shutil.which(compiler):
            print('no C++ compiler here: plugpull.h is compiled as C only')
            continue
        with open(p.path(name), 'w', encoding='utf-8') as f:
            f.write(PROGRAM)
        binary = p.path('program-' + standard)
        rc, _, err = p.run([compiler, f'-std={standard}', *warnings, '-I', HEADERS, '-o', binary,
                            name, '-lpthread'])
        t.check(rc == 0, f'{standard} compiles', err)
        if rc != 0:
            continue
        t.equal(p.run([binary])[1], '0 1\n', 'nobody listens')
        t.equal(p.run([binary], PLUGPULL_MARK='')[1], '0 1\n', 'nobody listens')
        t.equal(p.run([binary], PLUGPULL_MARK='/no/such/file')[1], '-1 0\n', 'cannot be written')
        marks = p.path('marks-' + standard)
        t.equal(p.run([binary], PLUGPULL_MARK=marks)[1], '1 1\n1\n', 'all were written')
        with open(marks, encoding='utf-8') as f:
            lines = f.read().split('\n')
        t.equal(lines[:2], ['mark one two ', 'ack ' + 'x' * 999], 'a line each, cut between letters')
        t.equal(sorted(lines[2:-1]), sorted(f'ack {c}' for c in 'abcd' * 200), 'no line is mixed')


def check_statements(t, p):
    """The statements of recorded connections stand before what comes of them; a program's own trace
    takes the place of ours, and no other connection's."""
    log = p.path('app.log')
    code, _, err = p.run([PYTHON, '-c', textwrap.dedent('''
        import sqlite3, sys
        loader = sqlite3.connect(':memory:')
        loader.enable_load_extension(True); loader.load_extension(sys.argv[1])
        early = sqlite3.connect(':memory:'); early.execute('CREATE TABLE no_file(x)')
        loader.execute('SELECT plugpull_record(?)', (sys.argv[2],))
        a, b = (sqlite3.connect(n, isolation_level=None) for n in ('a.db', 'b.db'))
        a.execute('CREATE TABLE t(x)'); b.execute('CREATE TABLE u(x)')
        a.execute('INSERT INTO t VALUES (?)', ('secret',)); b.execute('INSERT INTO u VALUES (2)')
        early.execute('CREATE TABLE nobody(x)')
        memory = sqlite3.connect(':memory:'); memory.execute('CREATE TABLE nobody(x)')
        said = []
        a.set_trace_callback(said.append); a.execute('INSERT INTO t VALUES (3)')
        assert said == ['INSERT INTO t VALUES (3)'], said
        b.execute('INSERT INTO u VALUES (4)')
        a.close(); b.close(); loader.execute('SELECT plugpull_stop()')
        c = sqlite3.connect('c.db'); c.execute('CREATE TABLE not_recorded(x)')
    '''), p.extension, log])
    t.equal((code, err), (0, ''), 'the program runs')
    code, out, err = p.run([t.plugpull, 'trace', 'show', log])
    t.equal((code, err), (0, ''), 'trace show')
    said, written = [], {}
    for line in out.splitlines():
        sql = re.search(r'^# process=1 connection=(\d+) .*sql="(.*)"$', line)
        write = re.search(r'^\d+ write process=1 thread=1 connection=(\d+)', line)
        if sql:
            said.append((sql.group(2), sql.group(1)))
        elif write and said:
            written.setdefault(said[-1], set()).add(write.group(1))
    t.equal([s for s, _ in said],
            ['CREATE TABLE t(x)', 'CREATE TABLE u(x)', 'INSERT INTO t VALUES (?)',
             'INSERT INTO u VALUES (2)', 'INSERT INTO u VALUES (4)'], 'the statements')
    # The statement that our trace was taken away for comes behind that of the other connection.
    t.equal(all({c} <= written[s, c] for s, c in said), True, 'each before its own writes')
    t.equal(len({c for _, c in said}), 2, 'two connections')
    with open(log, 'rb') as f:
        tail = struct.unpack_from('<QIIQ', f.read(24))[3]
        f.seek(START)
        t.equal(b'nobody' in f.read(tail - START), False, 'what has no file is not in the log')


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    t = Test(os.path.abspath(sys.argv[1]))
    extension = os.path.join(os.path.dirname(t.plugpull), 'plugpull.so')
    # A path without symbolic links, as the log has it.
    top = os.path.realpath(tempfile.mkdtemp(prefix='plugpull-extension-'))
    try:
        for section in (check_shell, check_python, check_processes, check_grades, check_unseen,
                        check_functions, check_statements, check_header):
            try:
                section(t, Program(extension, os.path.join(top, section.__name__)))
            except (OSError, ValueError, KeyError, IndexError, subprocess.TimeoutExpired) as e:
                t.check(False, section.__name__, repr(e))
    finally:
        shutil.rmtree(top)
    print(f'{t.passed} passed, {t.failed} failed')
    return 1 if t.failed or not t.passed else 0


if __name__ == '__main__':
    sys.exit(main())
