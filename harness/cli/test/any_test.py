#!/usr/bin/env python3
"""Any program under `plugpull test` and `plugpull record`: the sqlite3 shell, the system's python3,
and programs that are no use at all, each of which is told so in one line.

    any_test.py PLUGPULL

Checks: what is said, the exit code, the JSON's verdict, grade and program_exit; that nothing is
left running. Does not check what grades real programs get under their many settings:
.ci/check-real.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SECONDS = 60
TABLE = 'CREATE TABLE t(a PRIMARY KEY, b); INSERT INTO t VALUES(1, 1); INSERT INTO t VALUES(2, 2);'
PYTHON = '/usr/bin/python3'


class Ran:
    def __init__(self, code, out, err, result, seconds):
        self.code, self.out, self.err, self.result, self.seconds = code, out, err, result, seconds
        self.said = [line for line in err.splitlines() if line.startswith('plugpull: ')]

    def case(self):
        return self.result['cases'][0] if self.result and self.result['cases'] else {}

    def grade(self):
        case = self.case()
        return case.get('verdict'), case.get('grade'), case.get('commits')

    def __str__(self):
        return f'exit code {self.code}\n{self.out}{self.err}{json.dumps(self.result, indent=1)}'


class Test:
    def __init__(self, plugpull):
        self.plugpull = os.path.abspath(plugpull)
        self.work = tempfile.TemporaryDirectory(prefix='plugpull-any-')
        self.folders = 0
        self.passed = self.failed = 0

    def check(self, good, what, ran):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAILED: {what}\n{ran}')

    def folder(self):
        self.folders += 1
        path = os.path.join(self.work.name, str(self.folders))
        os.mkdir(path)
        return path

    def run(self, *command, options=(), cwd=None, stdin='', name='test'):
        """`plugpull test OPTIONS -- COMMAND` in an empty folder."""
        cwd = cwd or self.folder()
        path = os.path.join(self.work.name, f'{self.folders}.json')
        where = ('--json', path) if name == 'test' else ()
        start = time.monotonic()
        run = subprocess.run([self.plugpull, name, *where, *options, '--', *command], cwd=cwd,
                             input=stdin, capture_output=True, text=True, errors='replace',
                             timeout=SECONDS)
        result = None
        if os.path.exists(path):
            with open(path, encoding='utf-8') as f:
                result = json.load(f)
        return Ran(run.returncode, run.stdout, run.stderr, result, time.monotonic() - start)

    def one_line(self, what, ran, code, pattern):
        """Refused before anything ran: one line on stderr, nothing on stdout, no result."""
        self.check(ran.code == code and len(ran.err.splitlines()) == 1 and len(ran.said) == 1 and
                   re.search(pattern, ran.err) and not ran.out and ran.result is None, what, ran)


def good_programs(t):
    """The shell and Python are graded, where they are told to work in another folder, too."""
    ran = t.run('sqlite3', 'app.db', TABLE)
    t.check(ran.code == 0 and ran.grade() == ('held', 'consistent', 3) and
            ran.result['program_exit'] == 0 and ran.case()['lost_acked_max'] == 1 and
            ran.case()['exhaustive'] and not ran.said, 'the shell, DELETE at FULL', ran)
    ran = t.run('sqlite3', 'app.db', TABLE, options=('--require', 'durable'))
    t.check(ran.code == 1 and ran.grade() == ('violated', 'consistent', 3),
            'it is not durable, when that is required', ran)
    ran = t.run('sqlite3', 'app.db', 'PRAGMA journal_mode=WAL;', TABLE,
                options=('--require', 'durable'))
    t.check(ran.code == 0 and ran.grade() == ('held', 'durable', 3), 'the shell, WAL at FULL', ran)
    ran = t.run('sqlite3', 'app.db', 'PRAGMA synchronous=OFF;', TABLE)
    t.check(ran.code == 1 and ran.grade() == ('violated', 'corrupt', 3), 'the shell, OFF', ran)
    ran = t.run('sqlite3', 'app.db', stdin='PRAGMA synchronous=EXTRA;' + TABLE,
                options=('--require', 'durable'))
    t.check(ran.code == 0 and ran.grade() == ('held', 'durable', 3), 'standard input goes to it',
            ran)
    elsewhere = t.folder()
    ran = t.run(PYTHON, '-c', f"""
import os, sqlite3
os.chdir({elsewhere!r})
db = sqlite3.connect('app.db')
db.executescript('PRAGMA synchronous=EXTRA;' {TABLE!r})
print('done')""", options=('--require', 'durable'))
    t.check(ran.code == 0 and ran.grade() == ('held', 'durable', 3) and
            os.path.exists(os.path.join(elsewhere, 'app.db')) and 'done' not in ran.out and
            'done' in ran.err, 'Python, in another folder; its output goes to stderr', ran)
    ran = t.run('sh', '-c', f'for n in 1 2; do sqlite3 $n.db "PRAGMA synchronous=EXTRA;{TABLE}"; '
                            'done', options=('--model', 'strict-posix,process-crash'))
    t.check(ran.code == 0 and ran.grade() == ('held', 'durable', 6) and
            len(ran.result['cases']) == 2, 'two programs, two databases, two models', ran)


def existing_database(t):
    """What was there before is the durable base."""
    cwd = t.folder()
    subprocess.run(['sqlite3', 'app.db', TABLE], cwd=cwd, check=True)
    ran = t.run('sqlite3', 'app.db', 'PRAGMA synchronous=EXTRA; UPDATE t SET b = 7;', cwd=cwd)
    t.check(ran.code == 0 and ran.grade() == ('held', 'durable', 1), 'one commit more', ran)
    ran = t.run('sqlite3', 'app.db', 'SELECT * FROM t', cwd=cwd)
    t.check(ran.code == 4 and ran.case().get('verdict') == 'inconclusive' and '1|7' in ran.err and
            'wrote nothing' in ran.case().get('reason', ''), 'it only reads', ran)


def useless_programs(t):
    """What cannot be judged is said in one line."""
    t.one_line('there is no such program', t.run('no-such-program'), 2,
               "cannot run 'no-such-program': (No such file|Permission denied)")
    t.one_line('a folder is no program', t.run('/tmp'), 2, "cannot run '/tmp': Permission denied")
    t.one_line('no program is named', t.run(), 2, 'test')
    for what, command in (('nothing at all', ['true']),
                          ('a file that is no database', [PYTHON, '-c',
                                                          "open('notes', 'w').write('text')"]),
                          ('a database in memory', ['sqlite3', ':memory:', TABLE])):
        ran = t.run(*command)
        t.check(ran.code == 4 and ran.case().get('grade') is None and
                'opened no SQLite database' in ran.out + ran.err, f'it opens {what}', ran)
    folder = t.folder()
    ran = t.run('true', cwd=folder, name='record', options=('-o', 'app.trace'))
    t.check(ran.code == 4 and len(ran.err.splitlines()) == 1 and
            'opened no SQLite database' in ran.err and not os.listdir(folder),
            'record: no trace is left', ran)


def endings(t):
    """A program that ends badly is judged by what it did; what it left running is ended."""
    commit = f"import os, sqlite3\ndb = sqlite3.connect('app.db')\ndb.executescript({TABLE!r})\n"
    for end, code, pattern in (('os.abort()', 134, 'killed by signal 6'),
                               ('os.kill(os.getpid(), 9)', 137, 'killed by signal 9'),
                               ('os.kill(os.getpid(), 11)', 139, 'killed by signal 11'),
                               ('os._exit(3)', 3, 'exit status 3')):
        ran = t.run(PYTHON, '-c', commit + end)
        t.check(ran.code == 0 and ran.grade() == ('held', 'consistent', 3) and
                ran.result['program_exit'] == code and len(ran.said) == 1 and
                re.search(pattern, ran.said[0]), f'it ends with {end}', ran)
    ran = t.run(PYTHON, '-c', commit + "db.execute('BEGIN')\ndb.execute('DELETE FROM t')\n"
                'os.abort()')
    t.check(ran.grade() == ('held', 'consistent', 3), 'it ends inside a transaction', ran)
    ran = t.run(PYTHON, '-c', commit + 'import signal, time\nsignal.signal(15, signal.SIG_IGN)\n'
                'while True: time.sleep(9)', options=('--timeout', '1s'))
    t.check(ran.code == 4 and ran.grade() == ('inconclusive', 'consistent', 3) and
            ran.seconds < 10 and 'did not end within 1 s' in ran.case()['reason'] and
            ran.result['program_exit'] == 137, 'it runs for ever', ran)
    mark = f'{time.time_ns() % 10**9 + 10**6}'
    ran = t.run('sh', '-c', f'sleep {mark} & sqlite3 app.db "{TABLE}"')
    left = subprocess.run(['ps', '-eo', 'args'], capture_output=True, text=True, check=True).stdout
    t.check(ran.grade() == ('held', 'consistent', 3) and f'sleep {mark}' not in left and
            len(ran.said) == 1 and re.search('left 1 process running', ran.said[0]),
            'what it leaves running is ended, and said', ran)


def interrupted(t):
    """SIGINT ends the program, and plugpull with 130."""
    folder = t.folder()
    run = subprocess.Popen([t.plugpull, 'test', '--', 'sh', '-c',
                            f'sqlite3 app.db "{TABLE}"; touch ready; exec sleep 1000'], cwd=folder,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + SECONDS
    while not os.path.exists(os.path.join(folder, 'ready')) and time.monotonic() < until:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=SECONDS)
    ran = Ran(run.returncode, out, err, None, 0)
    t.check(ran.code == 130 and len(ran.said) == 1 and 'was stopped' in ran.said[0] and
            'interrupted while the program ran' in out, 'interrupted', ran)


def unseen_programs(t):
    """Where nobody can look, nothing is durable: refused, or inconclusive."""
    if shutil.which('gcc'):
        program = os.path.join(t.folder(), 'static')
        source = '#include <fcntl.h>\n#include <unistd.h>\nint main(int n, char **v) { (void)n; ' \
                 'int f = open(v[1], O_WRONLY); return write(f, "x", 1) != 1; }\n'
        made = subprocess.run(['gcc', '-static', '-o', program, '-x', 'c', '-'], input=source,
                              text=True, capture_output=True)
        if made.returncode == 0:
            t.one_line('a static program', t.run(program, 'app.db'), 2, 'static.*strace')
            script = os.path.join(t.folder(), 'script')
            with open(script, 'w', encoding='utf-8') as f:
                f.write(f'#!{program}\n')
            os.chmod(script, 0o755)
            t.one_line('a script for a static program', t.run(script), 2, 'static.*strace')
            ran = t.run('sh', '-c', f'sqlite3 app.db "PRAGMA synchronous=EXTRA;{TABLE}"; '
                                    f'{program} app.db')
            t.check(ran.code == 4 and ran.case().get('grade') is None and
                    re.search('static', ran.err), 'a static program behind a shell changes it', ran)
    ran = t.run('sh', '-c', f'sqlite3 app.db "PRAGMA synchronous=EXTRA;{TABLE}"; '
                            "awk 'BEGIN { printf \"x\" >> \"app.db\" }'")
    t.check(ran.code == 4 and ran.case().get('grade') is None and
            re.search('hole', ran.out + ran.err), 'a write that libc made itself is a hole', ran)
    ran = t.run(PYTHON, '-c', f"""
import mmap, sqlite3
db = sqlite3.connect('app.db')
db.executescript('PRAGMA synchronous=EXTRA;' {TABLE!r})
db.close()
with open('app.db', 'r+b') as f:
    mmap.mmap(f.fileno(), 0)[200] = 7""")
    t.check(ran.code == 4 and ran.case().get('grade') is None and
            re.search('hole', ran.out + ran.err), 'a write through a mapping is a hole', ran)
    ran = t.run('env', '-i', '/bin/sh', '-c', f'sqlite3 app.db "{TABLE}"')
    t.check(ran.code == 0 and ran.grade() == ('held', 'consistent', 3),
            'an empty environment does not shake the recorder off', ran)
    ran = t.run('sh', '-c', f'ulimit -v 4000000 && exec sqlite3 app.db "{TABLE}"')
    t.check(ran.code == 4 and ran.case().get('grade') is None,
            'a program without address space for the log', ran)


def record_and_explore(t):
    """The two halves come to what `test` comes to."""
    folder = t.folder()
    ran = t.run('sqlite3', 'app.db', TABLE, cwd=folder, name='record', options=('-o', 'a.trace'))
    t.check(ran.code == 0 and os.path.exists(os.path.join(folder, 'a.trace')), 'record', ran)
    run = subprocess.run([t.plugpull, 'explore', 'a.trace', '--json', '-'], cwd=folder,
                         capture_output=True, text=True, timeout=SECONDS)
    explored = Ran(run.returncode, '', run.stderr, json.loads(run.stdout or '{"cases": []}'), 0)
    t.check(explored.code == 0 and explored.grade() == ('held', 'consistent', 3) and
            explored.case()['lost_acked_max'] == 1, 'explore', explored)
    ran = t.run('sqlite3', 'app.db', 'UPDATE t SET b = 9', cwd=folder)
    t.check(sorted(os.listdir(folder)) == ['.plugpull', 'a.trace', 'app.db'],
            f'nothing is left in the folder but the cases: {os.listdir(folder)}', ran)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    t = Test(sys.argv[1])
    for part in (good_programs, existing_database, useless_programs, endings, interrupted,
                 unseen_programs, record_and_explore):
        try:
            part(t)
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as e:
            t.failed += 1
            print(f'FAILED: {part.__name__}: {e!r}')
    t.work.cleanup()
    print(f'{t.passed} passed, {t.failed} failed')
    return 1 if t.failed or not t.passed else 0


if __name__ == '__main__':
    sys.exit(main())
