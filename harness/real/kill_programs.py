#!/usr/bin/env python3
"""`kill -- CMD`: real programs that were not made for this, killed for real; what is sound is held,
what is not is found, and the user's databases are back in the end, whatever the end was.

    kill_programs.py PLUGPULL
"""
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

PYTHON = '/usr/bin/python3'
KEEP = 'plugpull-kill-originals'

SCRIPT = '''
CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v TEXT);
CREATE INDEX IF NOT EXISTS i ON t(v);
BEGIN; INSERT INTO t(v) VALUES(hex(randomblob(3000))); UPDATE t SET v=hex(randomblob(2000)); COMMIT;
BEGIN; INSERT INTO t(v) VALUES(hex(randomblob(3000))); UPDATE t SET v=hex(randomblob(2000)); COMMIT;
'''

# One transaction of many pages, which reach the file one after the other.
LONG = '''
CREATE TABLE IF NOT EXISTS t(v);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100)
INSERT INTO t SELECT randomblob(3000) FROM c;
'''

MANY = 'CREATE TABLE IF NOT EXISTS t(v);' + 'INSERT INTO t VALUES(1);' * 15

EARLY = '''
import os, sqlite3
db = sqlite3.connect('app.db', isolation_level=None)
db.execute('CREATE TABLE IF NOT EXISTS t(v TEXT)')
for i in range(6):
    db.execute('BEGIN')
    db.execute('INSERT INTO t VALUES(?)', ('x' * 3000,))
    with open(os.environ['PLUGPULL_MARK'], 'a') as f:
        f.write('ack %d\\n' % i)
    db.execute('COMMIT')
'''

# Each acknowledgement comes after its COMMIT.
IN_TIME = '''
import os, sqlite3
db = sqlite3.connect('app.db', isolation_level=None)
{begin}
db.execute('CREATE TABLE IF NOT EXISTS t(v TEXT)')
for i in range(15):
    {each}
    db.execute('INSERT INTO t VALUES(?)', ('x' * 3000,))
    with open(os.environ['PLUGPULL_MARK'], 'a') as f:
        f.write('ack %d\\n' % i)
'''
EXCLUSIVE = IN_TIME.format(begin='db.execute("PRAGMA locking_mode=EXCLUSIVE")', each='pass')
BESIDE = IN_TIME.format(begin='''
batch = sqlite3.connect('batch.db', isolation_level=None)
batch.execute('CREATE TABLE IF NOT EXISTS t(v TEXT)')
batch.execute('BEGIN IMMEDIATE')''', each='batch.execute("INSERT INTO t VALUES(1)")')


class Tests:
    def __init__(self, plugpull, work):
        self.plugpull, self.work = plugpull, work
        self.passed = self.failed = 0
        self.environment = dict(os.environ, TMPDIR=os.path.join(work, 'tmp'))
        os.mkdir(self.environment['TMPDIR'])
        self.folders = 0

    def check(self, good, name, *output):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAILED: {name}', *output, sep='\n')

    def folder(self, **files):
        self.folders += 1
        path = os.path.join(self.work, str(self.folders))
        os.mkdir(path)
        for name, text in files.items():
            with open(os.path.join(path, name.replace('_', '.')), 'w', encoding='utf-8') as f:
                f.write(text)
        return path

    def run(self, folder, *args, stdin=None):
        """Returns (exit code, cases by the model or "kill", all output)."""
        out = os.path.join(self.work, 'out.json')
        if os.path.exists(out):
            os.unlink(out)
        with open(os.path.join(folder, stdin) if stdin else os.devnull, 'rb') as f:
            ran = subprocess.run([self.plugpull, 'kill', '--json', out, *args], cwd=folder, stdin=f,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 env=self.environment, timeout=120)
        cases = {}
        if os.path.exists(out):
            with open(out, encoding='utf-8') as f:
                cases = {c['model'] or 'kill': c for c in json.load(f)['cases']}
        return ran.returncode, cases, ran.stdout

    def left(self, folder):
        """What is in the folder and in $TMPDIR, but case files."""
        return sorted(set(os.listdir(folder)) - {'.plugpull'}), os.listdir(
            self.environment['TMPDIR'])


def verdicts(cases):
    return {k: c['verdict'] for k, c in cases.items()}


def oracles(case):
    return {v['oracle'] for v in case.get('violations', [])}


def state(folder, name='app.db'):
    path = os.path.join(folder, name)
    with open(path, 'rb') as f:
        data = f.read()
    return hashlib.sha256(data).hexdigest(), os.stat(path).st_mode, os.stat(path).st_ino


def test_sound(t):
    """A sound program is held, its standard input is the same in every round, and what it made is
    gone; the JSON is that of `kill`."""
    folder = t.folder(w_sql=SCRIPT)
    code, cases, out = t.run(folder, '--budget', '12r', '--', 'sqlite3', 'app.db', stdin='w.sql')
    t.check(code == 0 and verdicts(cases) == {'kill': 'held', 'strict-posix': 'held'}, 'held', out)
    kill = cases.get('kill', {})
    t.check(kill.get('states', 0) is None and kill.get('exhaustive') is False and
            kill.get('rounds') == 12 and kill.get('program_exit') == 0 and
            kill.get('grade') == 'durable' and kill.get('violations') == [] and
            kill.get('commits', 0) > 0, 'the JSON of kills', kill)
    t.check(t.left(folder) == (['w.sql'], []), 'nothing is left', t.left(folder))


def replays(t, folder, case, name):
    """The worst finding has a case file, which shows it again."""
    token = next((v['token'] for v in case.get('violations', [])), None)
    if token is None:
        t.check(False, f'{name}: a case file', case)
        return
    ran = subprocess.run([t.plugpull, 'replay', token], cwd=folder, env=t.environment,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    t.check(ran.returncode == 1 and 'finding' in ran.stdout, f'{name}: replays', ran.stdout)


def test_synchronous_off(t):
    """synchronous=OFF survives kills, and not the power cut at the same moment."""
    folder = t.folder(w_sql='PRAGMA synchronous=OFF;' + SCRIPT)
    code, cases, out = t.run(folder, '--budget', '12r', '--', 'sqlite3', 'app.db', stdin='w.sql')
    t.check(code == 1 and verdicts(cases) == {'kill': 'held', 'strict-posix': 'violated'},
            'synchronous=OFF is found by power cuts alone', out)
    replays(t, folder, cases.get('strict-posix', {}), 'a power cut')


def test_journal_off(t):
    """Without a rollback journal a kill alone does damage."""
    folder = t.folder(w_sql='PRAGMA journal_mode=OFF;' + LONG)
    code, cases, out = t.run(folder, '--budget', '8r', '--', 'sqlite3', 'app.db', stdin='w.sql')
    kill = cases.get('kill', {})
    t.check(code == 1 and kill.get('verdict') == 'violated' and
            kill.get('grade') in ('torn', 'corrupt'), 'journal_mode=OFF is found by kills', out)
    replays(t, folder, kill, 'a kill')


def test_restart(t):
    """What a program does to the files when it starts again after a kill is found: it removes the
    log (commits are gone)."""
    folder = t.folder(w_sql='PRAGMA journal_mode=WAL;' + MANY,
                      app_sh='rm -f app.db-wal app.db-shm; exec sqlite3 app.db')
    code, cases, out = t.run(folder, '--budget', '12r', '--', 'sh', 'app.sh', stdin='w.sql')
    t.check(code == 1 and verdicts(cases) == {'kill': 'violated', 'strict-posix': 'held'} and
            oracles(cases['kill']) == {'history'}, 'a removed log is found', out)
    t.check(t.left(folder) == (['app.sh', 'w.sql'], []), 'nothing is left', t.left(folder))


def test_damage(t):
    """A program that removes its hot journal damages its database, and that is found."""
    folder = t.folder(w_sql=LONG, app_sh='rm -f app.db-journal; exec sqlite3 app.db')
    code, cases, out = t.run(folder, '--budget', '16r', '--', 'sh', 'app.sh', stdin='w.sql')
    found = cases.get('kill', {})
    t.check(code == 1 and found.get('verdict') == 'violated' and
            found.get('grade') in ('torn', 'corrupt'), 'a removed journal is found', out)


def test_early(t):
    """A program that acknowledges before COMMIT is found."""
    folder = t.folder(app_py=EARLY)
    code, cases, out = t.run(folder, '--budget', '8r', '--', PYTHON, 'app.py')
    t.check(code == 1 and cases.get('kill', {}).get('verdict') == 'violated' and
            'before its COMMIT' in out, 'an early acknowledgement is found', out)


def test_in_time(t):
    """One that acknowledges after COMMIT is held, also when it keeps the lock for good, or has
    another transaction open on another database."""
    for name, program in (('exclusive', EXCLUSIVE), ('beside', BESIDE)):
        folder = t.folder(app_py=program)
        code, cases, out = t.run(folder, '--budget', '4r', '--', PYTHON, 'app.py')
        t.check(code == 0 and cases.get('kill', {}).get('verdict') == 'held' and
                cases['kill'].get('commits', 0) > 0, f'{name}: held', out)


def make_database(folder):
    db = sqlite3.connect(os.path.join(folder, 'app.db'))
    db.executescript(SCRIPT)
    db.close()
    os.chmod(os.path.join(folder, 'app.db'), 0o640)


def test_originals(t):
    """Databases that were there are bit for bit what they were, in place; after Ctrl-C, too, and
    one signal more does not keep us from that."""
    folder = t.folder(w_sql=SCRIPT)
    make_database(folder)
    before = state(folder)
    code, _, out = t.run(folder, '--budget', '5r', '--', 'sqlite3', 'app.db', stdin='w.sql')
    t.check(code == 0 and state(folder) == before, 'originals are back', out)
    t.check(t.left(folder) == (['app.db', 'w.sql'], []), 'nothing is left', t.left(folder))

    with open(os.path.join(folder, 'w.sql'), 'rb') as f:
        process = subprocess.Popen([t.plugpull, 'kill', '--budget', '60s', '--', 'sqlite3',
                                    'app.db'], cwd=folder, stdin=f, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, env=t.environment,
                                   start_new_session=True)
    while not os.path.exists(os.path.join(folder, KEEP, 'restore.sh')) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.1)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        os.killpg(process.pid, number)
    process.communicate()
    t.check(process.returncode == 130, 'interrupted', process.returncode)
    t.check(state(folder) == before and t.left(folder)[0] == ['app.db', 'w.sql'],
            'originals are back after Ctrl-C', t.left(folder))


def test_killed(t):
    """When plugpull itself is killed, the next one does not begin on the changed databases, and the
    script puts them back."""
    folder = t.folder(w_sql=SCRIPT)
    make_database(folder)
    before = state(folder)
    with open(os.path.join(folder, 'w.sql'), 'rb') as f:
        process = subprocess.Popen([t.plugpull, 'kill', '--budget', '60s', '--', 'sqlite3',
                                    'app.db'], cwd=folder, stdin=f, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=t.environment)
    script = os.path.join(folder, KEEP, 'restore.sh')
    while not os.path.exists(script) and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    time.sleep(0.2)  # the program that it ran may be at work for a moment yet
    code, _, out = t.run(folder, '--', 'sqlite3', 'app.db', stdin='w.sql')
    t.check(code == 2 and 'restore.sh' in out, 'the next one is refused', out)
    subprocess.run(['sh', script], cwd=folder, check=True)
    t.check(state(folder) == before and t.left(folder)[0] == ['app.db', 'w.sql'],
            'the script puts everything back', t.left(folder))
    for name in os.listdir(t.environment['TMPDIR']):
        subprocess.run(['rm', '-r', os.path.join(t.environment['TMPDIR'], name)], check=True)


def test_killed_early(t):
    """When plugpull is killed in its first run, the program ends with it, and the next one
    works: there was nothing to put back yet."""
    folder = t.folder(app_sh='echo $$ > pid; exec sleep 60')
    process = subprocess.Popen([t.plugpull, 'kill', '--', 'sh', 'app.sh'], cwd=folder,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=t.environment)
    pid = os.path.join(folder, 'pid')
    while (not os.path.exists(pid) or not os.path.getsize(pid)) and process.poll() is None:
        time.sleep(0.01)
    _, _, out = t.run(folder, '--', 'true')
    t.check('another `plugpull kill` works here' in out, 'two in one folder', out)
    process.kill()
    process.wait()
    with open(pid, encoding='ascii') as f:
        number = int(f.read())
    end = time.monotonic() + 5
    while state_of(number) != 'Z' and time.monotonic() < end:
        time.sleep(0.01)
    t.check(state_of(number) == 'Z', 'the program ends with plugpull')
    t.check(os.listdir(os.path.join(folder, KEEP)) == [], 'an empty folder stays')
    code, _, out = t.run(folder, '--', 'true')
    t.check(code == 4 and 'plugpull-kill' not in out, 'the next one works', out)
    t.check(t.left(folder)[0] == ['app.sh', 'pid'], 'nothing is left', t.left(folder))
    for name in os.listdir(t.environment['TMPDIR']):
        subprocess.run(['rm', '-r', os.path.join(t.environment['TMPDIR'], name)], check=True)


def state_of(pid):
    """The letter of /proc/PID/stat; Z for a process that is gone, too."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8') as f:
            return f.read().rpartition(') ')[2][:1]
    except OSError:
        return 'Z'


def test_no_rights(t):
    """In a folder where nothing may be made the reason is said: for the copies, and for --json."""
    folder = t.folder()
    os.chmod(folder, 0o555)
    os.chmod(t.work, 0o711)
    user = {'user': 65534, 'group': 65534, 'extra_groups': []} if os.geteuid() == 0 else {}
    for args, what in (([], 'cannot make'), (['--json', 'out.json'], 'option --json: out.json')):
        ran = subprocess.run([t.plugpull, 'kill', *args, '--', 'true'], cwd=folder,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
                             env=dict(os.environ, TMPDIR='/tmp'), **user)
        t.check(ran.returncode != 0 and what in ran.stdout and
                'Permission denied' in ran.stdout, f'no rights: {what}', ran.stdout)


def test_open_elsewhere(t):
    """While somebody else has the database open nothing is killed."""
    folder = t.folder()
    make_database(folder)
    with open(os.path.join(folder, 'app.db'), 'rb'):
        code, _, out = t.run(folder, '--', 'sqlite3', 'app.db', 'DELETE FROM t')
    t.check(code == 2 and f'process {os.getpid()} ' in out and 'restore.sh' in out,
            'an open database is refused', out)


def test_resume(t):
    """Rounds that are done are done."""
    folder = t.folder(w_sql=SCRIPT)
    args = ('--resume', 'rounds', '--', 'sqlite3', 'app.db')
    t.run(folder, '--budget', '2r', *args, stdin='w.sql')
    _, cases, out = t.run(folder, '--budget', '5r', *args, stdin='w.sql')
    t.check(cases.get('kill', {}).get('rounds') == 5, 'goes on at the third round', out)
    _, cases, out = t.run(folder, '--budget', '1r', *args, stdin='w.sql')
    t.check(cases.get('kill', {}).get('rounds') == 5, 'and does none again', out)
    _, cases, out = t.run(folder, '--budget', '1r', '--seed', '2', *args, stdin='w.sql')
    t.check(cases.get('kill', {}).get('rounds') == 1, 'another seed begins anew', out)


def test_nothing(t):
    """What there is nothing to say about is said in a line."""
    folder = t.folder()
    code, _, out = t.run(folder, '--', 'true')
    t.check(code == 4 and 'changed no SQLite database' in out, 'no database', out)
    code, _, out = t.run(folder, '--', './no-such-program')
    t.check(code == 2 and out.count('\n') == 1 and 'no-such-program' in out, 'no program', out)
    for args in (('--list', '--', 'true'), ('--jobs', '2', '--', 'true'), ('--ack', 'mark', 'x')):
        code, _, out = t.run(folder, *args)
        t.check(code == 2 and out.count('\n') == 1, f'refused: {args}', out)
    t.check(t.left(folder) == ([], []), 'nothing is left', t.left(folder))


def main():
    with tempfile.TemporaryDirectory() as work:
        t = Tests(os.path.abspath(sys.argv[1]), work)
        for test in (test_sound, test_synchronous_off, test_journal_off, test_restart, test_damage,
                     test_early, test_in_time, test_originals, test_killed, test_killed_early,
                     test_no_rights, test_open_elsewhere, test_resume,
                     test_nothing):
            test(t)
    print(f'{t.passed} passed, {t.failed} failed')
    return 1 if t.failed else 0


if __name__ == '__main__':
    sys.exit(main())
