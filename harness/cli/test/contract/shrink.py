"""`shrink`: the smallest case that fails in the same way."""
import json
import os
import re
import signal
import subprocess
import time

import files
from programs import shell

# What is needed of it: one table, one row, in WAL mode at synchronous=normal.
BIG = '''-- @scenario A shop with three clients and a lot of noise
-- it began as a small one
-- @pragma foreign_keys=on cache_size=50 journal_mode=wal
-- @models strict-posix ext4-ordered
-- @matrix synchronous=normal,full wal_autocheckpoint=4,1000
-- @require durable
-- @kill writers=2
-- @open
PRAGMA foreign_keys = on;
-- @setup
CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT, amount INTEGER);
CREATE TABLE noise(id INTEGER PRIMARY KEY, x BLOB);
CREATE INDEX noise_x ON noise(x);
CREATE TABLE log(line TEXT);
CREATE VIEW big AS SELECT * FROM orders WHERE amount > 100;
CREATE TRIGGER keep AFTER INSERT ON orders BEGIN
	INSERT INTO log VALUES ('new order');
END;
INSERT INTO orders VALUES (1, 'apple', 3), (2, 'pear', 5), (3, 'plum', 200);
INSERT INTO noise VALUES (1, zeroblob(3000)), (2, zeroblob(5000));
-- @client alice repeat=3
BEGIN IMMEDIATE;
INSERT INTO orders(item, amount) VALUES ('cherry', 17), ('fig', 4);
UPDATE orders SET amount = amount + 1 WHERE id = 1;
COMMIT;
SELECT count(*) FROM orders;
-- @client bob repeat=2
BEGIN;
INSERT INTO noise(x) VALUES (zeroblob(2000));
-- @may-fail
DELETE FROM noise WHERE id = 1;
COMMIT;
SELECT * FROM noise;
-- @client reader repeat=4 process=1
SELECT sum(amount) FROM orders;
SELECT * FROM big;
-- @invariant "amounts are there"
SELECT * FROM orders WHERE amount IS NULL;
-- @invariant "noise is noise"
SELECT * FROM noise WHERE x IS NULL;
-- @order orders id
'''
SMALL = '''-- @scenario A shop with three clients and a lot of noise
-- @pragma journal_mode=wal synchronous=normal
-- @setup
CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT, amount INTEGER);
-- @client alice
INSERT INTO orders(item, amount) VALUES ('c', 1);
'''
# Rows that a rule needs: taking them away breaks the rule without any crash.
RULE = '''-- @scenario the sum is kept by two tables
-- @pragma journal_mode=off synchronous=off cache_size=1
-- @setup
CREATE TABLE one(balance INTEGER);
CREATE TABLE two(balance INTEGER);
INSERT INTO one VALUES (3);
INSERT INTO two VALUES (3);
-- @client a repeat=2
BEGIN;
UPDATE one SET balance = balance - 1;
UPDATE two SET balance = balance + 1;
COMMIT;
-- @invariant "the accounts hold 6 together"
SELECT one.balance, two.balance FROM one, two WHERE one.balance + two.balance <> 6;
'''
PYTHON = '''import sqlite3
db = sqlite3.connect('a.db', isolation_level=None)
db.execute('PRAGMA journal_mode=wal')
db.execute('PRAGMA synchronous=normal')
db.execute('CREATE TABLE t(x)')
for i in range(20):
    db.execute('BEGIN')
    db.execute('INSERT INTO t VALUES (?)', ('x' * 100,))
    db.execute('COMMIT')
db.close()
'''


# Two commits where the rule needs one: between them the run itself breaks it.
TWO = '''-- @scenario two commits
-- @pragma journal_mode=wal synchronous=full
-- @setup
CREATE TABLE n(id INTEGER PRIMARY KEY);
CREATE TABLE c(n);
INSERT INTO c VALUES (0);
-- @client a
INSERT INTO n VALUES (1);
UPDATE c SET n = 1;
-- @invariant "count"
SELECT n FROM c WHERE n <> (SELECT count(*) FROM n);
'''
PYTHON_TWO = '''import sqlite3
db = sqlite3.connect('a.db', isolation_level=None)
db.execute('PRAGMA journal_mode=wal')
db.execute('PRAGMA synchronous=normal')
db.execute('CREATE TABLE n(x)')
db.execute('CREATE TABLE c(n)')
db.execute('INSERT INTO c VALUES (0)')
for i in range(4):
    db.execute('INSERT INTO n VALUES (1)')
    db.execute('UPDATE c SET n = n + 1')
db.close()
'''


def findings(t, text, *options, folder=None):
    """The folder, and {(oracle, grade): token} of a run."""
    folder = t.scenario(text, folder=folder)
    ran = t.run('run', 'f.sql', '--json', '-', *options, cwd=folder)
    if ran.code not in (0, 1):
        return folder, ran, {}
    return folder, ran, {(v['oracle'], v['grade']): v['token']
                         for c in ran.json()['cases'] for v in c['violations']}


def shrunk(t, folder, token, *options):
    ran = t.run('shrink', token, '--json', '-', *options, cwd=folder)
    return ran, json.loads(ran.out) if ran.out else {}


def check_minimal(t, what, result):
    """Without any one line of the printed scenario a run has no such finding."""
    text = result['scenario']
    wanted = (result['oracle'], result['grade'])
    _, ran, found = findings(t, text)
    t.check(wanted in found, f'{what}: the printed scenario fails by itself', ran, wanted, found)
    lines = text.splitlines(keepends=True)
    for i, line in enumerate(lines):
        # What says which failure it is stays (docs/shrink.md, S3).
        if line.startswith('-- @pragma'):
            continue
        _, ran, found = findings(t, ''.join(lines[:i] + lines[i + 1:]))
        t.check(wanted not in found, f'{what}: without {line.strip()!r}', ran, f'no {wanted}', found)


def check_scenario(t):
    folder, _, found = findings(t, BIG, '--case', '*strict*[synchronous=normal,wal_auto*=1000]')
    token = found[('history', 'consistent')]
    ran, result = shrunk(t, folder, token)
    t.same('shrink: exit code, end, oracle and grade', ran,
           (0, 'minimal', True, 'history', 'consistent'),
           (ran.code, result.get('end'), result.get('minimal'), result.get('oracle'),
            result.get('grade')))
    t.same('shrink: the scenario that is left', ran, SMALL, result.get('scenario'))
    t.same('shrink: counts', ran,
           ({'before': 20, 'after': 2}, {'before': 3, 'after': 1}, 1, 1),
           (result.get('statements'), result.get('clients'), result['commits']['after'],
            result['lost_writes']['after']))
    t.same('shrink: keys, in order', ran,
           ['clients', 'command', 'commits', 'crash', 'depth', 'end', 'format', 'from', 'grade', 'id',
            'lost_writes', 'message', 'minimal', 'note', 'operations', 'oracle', 'plugpull',
            'recoveries', 'scenario', 'seed', 'statements', 'token', 'without'], list(result))
    whats = [w['what'] for w in result['without']]
    for part in ('INSERT INTO orders', 'CREATE TABLE orders', 'with a crash at', 'main.db-wal'):
        t.check(any(part in w for w in whats), f'shrink: says what happens without {part!r}', ran,
                part, whats)
    check_minimal(t, 'shrink', result)
    for jobs in ('1', '2'):
        again = t.run('shrink', token, '--json', '-', '--jobs', jobs, cwd=folder)
        t.same(f'shrink --jobs {jobs}: the same bytes', again, ran.out, again.out)
    check_output(t, folder, token, result)
    check_elsewhere(t, folder, result)
    again, twice = shrunk(t, folder, result['token'])
    t.same('shrink of what was shrunk: nothing more, the same token', again,
           (0, result['token'], SMALL), (again.code, twice.get('token'), twice.get('scenario')))


def check_output(t, folder, token, result):
    quiet = t.run('shrink', token, '-q', cwd=folder)
    t.same('shrink -q: the token alone', quiet, (0, result['token'] + '\n'), (quiet.code, quiet.out))
    plain = t.run('shrink', token, cwd=folder)
    verbose = t.run('shrink', token, '-v', cwd=folder)
    indented = ''.join(f'  {line}\n' for line in SMALL.splitlines())
    for part in (indented, f'plugpull replay {result["token"]}', 'minimal', 'statements   20 -> 2',
                 'statements, clients, settings, rows, numbers and lost', 'an earlier crash'):
        t.has('shrink: for people', plain, part, plain.out)
    t.check('(-v)' in plain.out and '(-v)' not in verbose.out and
            all(w['what'].split(':')[-1] in verbose.out for w in result['without']),
            'shrink -v: all that was tried', verbose, [w['what'] for w in result['without']],
            verbose.out)
    t.check('\x1b[' in t.run('shrink', token, '--color', 'always', cwd=folder).out and
            '\x1b[' not in plain.out, 'shrink --color', plain, 'colour when asked for', plain.out)
    timed = t.run('shrink', token, '--json', '-', '--timing', cwd=folder)
    t.check('seconds' in timed.json(), 'shrink --timing', timed, 'seconds', sorted(timed.json()))


def check_elsewhere(t, folder, result):
    """The new case needs neither the scenario nor the folder."""
    source = os.path.join(folder, '.plugpull', 'cases', result['token'] + '.ppcase')
    away = t.folder()
    with open(source, 'rb') as f:
        t.write(away, 'x.ppcase', f.read())
    ran = t.run('replay', 'x.ppcase', '--json', '-', cwd=away, env={'HOME': t.folder()})
    t.same('what was shrunk replays elsewhere', ran, (1, result['message']),
           (ran.code, ran.case()['violations'][0]['message']))


def check_rule(t):
    """A rule that the smaller data break by themselves is another failure."""
    folder, ran, found = findings(t, RULE, '--model', 'process-crash')
    token = found.get(('invariant', 'corrupt'))
    if not t.check(token is not None, 'a rule is broken by a crash', ran, 'invariant', found):
        return
    ran, result = shrunk(t, folder, token)
    text = result.get('scenario', '')
    t.check(result.get('minimal') and text.count('UPDATE') >= 1 and
            text.count('VALUES (3)') == 2, 'shrink keeps what a rule needs', ran, 'both rows', text)
    t.has('... and says so', ran, 'without any crash', ran.out)
    # Every legal state of what is left keeps the rule: without a crash there is nothing.
    durable = text.replace('journal_mode=off', 'journal_mode=wal').replace(
        'synchronous=off', 'synchronous=full').replace('process-crash', 'strict-posix')
    _, ran, found = findings(t, durable)
    t.same('the rule holds where nothing is lost', ran, {}, found)


def check_recording(t):
    """A recorded program's case comes to one transaction."""
    folder = t.folder()
    t.write(folder, 'app.py', PYTHON)
    ran = t.run('test', '--require', 'durable', '--json', 'o.json', '--', 'python3', 'app.py',
                cwd=folder)
    with open(os.path.join(folder, 'o.json'), encoding='utf-8') as f:
        token = json.load(f)['cases'][0]['violations'][0]['token']
    ran, result = shrunk(t, folder, token)
    t.same('shrink of a recording', ran, (0, True, None, None, {'before': 21, 'after': 1}, 1),
           (ran.code, result.get('minimal'), result.get('scenario'), result.get('statements'),
            result.get('commits'), result['lost_writes']['after']))
    t.check(result['operations']['after'] < 30 < result['operations']['before'],
            'shrink of a recording: operations', ran, 'less than 30', result['operations'])
    check_recording_words(t, folder, token, result)
    again, other = shrunk(t, folder, token, '--jobs', '1')
    t.same('shrink of a recording is the same again', again, result['token'], other.get('token'))
    replay = t.run('replay', result['token'], cwd=folder)
    t.code('what was shrunk of a recording replays', replay, 1)


def check_recording_words(t, folder, token, result):
    """No output names the folder; what the last transaction ran, and what set its connection, are
    still there to be told."""
    plain = t.run('shrink', token, '-v', cwd=folder)
    whats = [w['what'] for w in result['without']]
    t.check(folder not in plain.out and folder not in json.dumps(result) and
            any("'a.db-wal'" in w for w in whats),
            'shrink of a recording names files from the folder on', plain, "'a.db-wal'", whats)
    t.has('shrink of a recording: what was tried', plain, 'a later beginning', ' '.join(plain.out.split()))
    told = t.run('explain', result['token'], '--json', '-', cwd=folder).json()['story']
    statements = [(s['sql'].split('(')[0].strip(), s['transaction']) for s in told['statements']]
    t.same('explain of it: the statements that matter', plain,
           [('PRAGMA journal_mode=wal', 0), ('PRAGMA synchronous=normal', 0), ('BEGIN', 1),
            ('INSERT INTO t VALUES', 1), ('COMMIT', 1)], statements)


def check_between(t):
    """Where the run itself breaks the rule between two commits, both stay (S6)."""
    folder, ran, found = findings(t, TWO)
    token = found.get(('invariant', 'corrupt'))
    if not t.check(token is not None, 'a rule is broken between two commits', ran, 'invariant', found):
        return
    ran, result = shrunk(t, folder, token)
    t.same('shrink keeps both commits', ran, (0, TWO, 2),
           (ran.code, result.get('scenario'), result.get('commits', {}).get('after')))
    t.has('... and says why', ran, 'when all is done', ran.out)
    folder = t.folder()
    t.write(folder, 'app.py', PYTHON_TWO)
    t.write(folder, 'rule.sql', TWO[TWO.index('-- @invariant'):])
    ran = t.run('test', '--invariant', 'rule.sql', '--json', 'o.json', '--', 'python3', 'app.py',
                cwd=folder)
    with open(os.path.join(folder, 'o.json'), encoding='utf-8') as f:
        tokens = [v['token'] for c in json.load(f)['cases'] for v in c['violations']
                  if v['oracle'] == 'invariant']
    if not t.check(tokens, 'so it is in a recording', ran, 'a token', ran.out):
        return
    ran, result = shrunk(t, folder, tokens[0])
    t.same('shrink of a recording keeps both commits', ran, (0, 2, True),
           (ran.code, result['commits']['after'], result['crash']['after'] > 0))
    t.has('... for where it would begin between them is no such failure', ran,
          'before anything is done', ran.out)
    replay = t.run('replay', result['token'], cwd=folder)
    t.code('... and it replays', replay, 1)


def check_checks(t):
    """A finding of --check: only losses, by its own command; a stranger's is refused."""
    folder = t.folder()
    command = 'test "$(sqlite3 *.db "select count(*) from t" 2>&1)" != 1'
    ran = t.run('test', '--check', command, '--json', 'o.json', '--',
                *shell('PRAGMA journal_mode=wal; PRAGMA synchronous=normal; CREATE TABLE t(x); '
                       'INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);'), cwd=folder)
    with open(os.path.join(folder, 'o.json'), encoding='utf-8') as f:
        tokens = [v['token'] for c in json.load(f)['cases'] for v in c['violations']
                  if v['oracle'] == 'check']
    if not t.check(tokens, '--check finds something', ran, 'a token', tokens):
        return
    ran, result = shrunk(t, folder, tokens[0])
    t.check(ran.code in (0, 4) and result.get('oracle') == 'check' and
            result['operations']['after'] <= result['operations']['before'],
            'shrink of a finding of --check', ran, 'a case of the same oracle', ran.out[:400])
    path = os.path.join('.plugpull', 'cases', tokens[0] + '.ppcase')
    t.refused("shrink of a stranger's case with a command",
              t.run('shrink', path, cwd=folder), 'runs the command')


def check_loads(t, extension):
    """A scenario inside a stranger's case must not load anything either."""
    folder, ran, found = findings(t, SMALL)
    token = found[('history', 'consistent')]
    path = os.path.join(folder, '.plugpull', 'cases', token + '.ppcase')
    with open(path, 'rb') as f:
        content, trace = files.split_case(f.read())
    content['scenario']['text'] = content['scenario']['text'].replace(
        '-- @setup', f'-- @load {extension}\n-- @setup')
    t.write(folder, 'x.ppcase', files.join_case(content, trace))
    t.refused("shrink of a stranger's case whose scenario loads an extension",
              t.run('shrink', 'x.ppcase', cwd=folder), 'loads the extension')


def check_ends(t):
    folder, _, found = findings(t, BIG, '--case', '*strict*[synchronous=normal,wal_auto*=1000]')
    token = found[('history', 'consistent')]
    whole = shrunk(t, folder, token)[1]
    tokens = set()
    for budget in ('1r', '40r', f'{whole["recoveries"] // 2}r'):
        ran, result = shrunk(t, folder, token, '--budget', budget)
        replay = t.run('replay', result.get('token', 'none'), cwd=folder)
        t.same(f'shrink --budget {budget}: exit code, end, and it fails still', ran,
               (4, 'budget spent', False, 1),
               (ran.code, result.get('end'), result.get('minimal'), replay.code))
        t.check(result['recoveries'] <= int(budget[:-1]) + 1, f'shrink --budget {budget}: spent',
                ran, budget, result['recoveries'])
        again = shrunk(t, folder, token, '--budget', budget, '--jobs', '3')[1]
        t.same(f'shrink --budget {budget} --jobs 3: the same', ran, result, again)
        tokens.add(result.get('token'))
    t.check(len(tokens) > 1, 'more budget, less left', ran, 'different cases', tokens)
    t.refused('shrink of nothing', t.run('shrink', 'pp1-none', cwd=folder), 'pp1-none')
    t.refused('shrink without a case', t.run('shrink', cwd=folder), 'CASE')
    t.refused('shrink --json into nowhere',
              t.run('shrink', token, '--json', 'no/such/x', cwd=folder), '--json')
    check_gone(t, folder, token)


def check_gone(t, folder, token):
    """A case whose state does not show its finding: there is nothing to shrink."""
    path = os.path.join(folder, '.plugpull', 'cases', token + '.ppcase')
    with open(path, 'rb') as f:
        content, trace = files.split_case(f.read())
    content['state']['answers'] = [0 for _ in content['state']['answers']]
    t.write(folder, 'gone.ppcase', files.join_case(content, trace))
    ran, result = shrunk(t, folder, 'gone.ppcase')
    t.same('shrink of a case that does not fail', ran, (1, 'gone', None, None),
           (ran.code, result.get('end'), result.get('token'), result.get('note')))
    content['versions']['sqlite'] = '3.7.0'
    t.write(folder, 'old.ppcase', files.join_case(content, trace))
    ran = t.run('shrink', 'old.ppcase', cwd=folder)
    t.check(ran.code == 1 and re.search(r'found with SQLite 3\.7\.0, run with 3\.[0-9.]+\)', ran.out),
            'shrink of a case of another SQLite names both versions', ran, '3.7.0', ran.out)
    content['finding']['oracle'] = 'own-check'
    t.write(folder, 'own.ppcase', files.join_case(content, trace))
    for options in ((), ('--json', '-')):
        ran = t.run('shrink', 'own.ppcase', *options, cwd=folder)
        t.check((ran.code, ran.out) == (4, '') and
                re.fullmatch(r'plugpull: only the test that found it .*PLUGPULL_TOKEN=pp1-\w+\n', ran.err),
                f'shrink {options} of a finding of a test\'s own check', ran, 'exit 4 and one line',
                ran.err)


def check_interrupt(t):
    """SIGINT gives what is known so far, which fails as before."""
    text = BIG.replace('zeroblob(2000)', 'zeroblob(20000)').replace('repeat=2', 'repeat=20')
    folder, _, found = findings(t, text, '--budget', '2000r', '--case',
                                '*strict*[synchronous=normal,wal_auto*=1000]')
    process = t.popen(['shrink', found[('history', 'consistent')], '--json', '-'], folder)
    time.sleep(0.15)
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    result = json.loads(out or b'{}')
    # It may have been done before; then it says that.
    good = (process.returncode, result.get('end')) in ((130, 'interrupted'), (0, 'minimal'))
    t.check(good and re.match('pp1-', result.get('token') or '') is not None,
            'shrink and SIGINT: exit 130 and a case', None, '130, interrupted', (out, err))
    replay = t.run('replay', result.get('token') or 'none', cwd=folder)
    t.code('... which replays', replay, 1)


def check(t, extension):
    for part in (check_scenario, check_rule, check_between, check_recording, check_checks, check_ends,
                 check_interrupt):
        t.part(part)
    t.part(check_loads, extension)
