"""Programs with a planted defect: the story alone has to name the line that is to blame."""
import json
import os
import subprocess
import sys

from materialize import cases

# tune() weakens the connection that the commits after it are made on.
LIBRARY = '''"""A lending library: books, members, loans."""
import sqlite3
import sys


class Library:
    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute('PRAGMA journal_mode=WAL')
        self.db.execute('PRAGMA synchronous=FULL')
        self.db.execute('CREATE TABLE IF NOT EXISTS books(id INTEGER PRIMARY KEY, copies INTEGER)')
        self.db.execute('CREATE TABLE IF NOT EXISTS loans(id INTEGER PRIMARY KEY, due TEXT)')

    def write(self, sql, values, said):
        self.db.execute('BEGIN IMMEDIATE')
        self.db.execute(sql, values)
        self.db.execute('COMMIT')
        print(said, flush=True)

    def buy(self, copies):
        self.write('INSERT INTO books(copies) VALUES (?)', (copies,), 'in stock')

    def lend(self, due):
        self.write('INSERT INTO loans(due) VALUES (?)', (due,), 'lent')

    def extend(self, loan, due):
        self.tune()
        self.write('UPDATE loans SET due = ? WHERE id = ?', (due, loan), 'extended')

    def tune(self):
        self.db.execute('PRAGMA cache_size=-4000')
        self.db.execute('PRAGMA synchronous=NORMAL')


def main():
    library = Library(sys.argv[1])
    library.buy(2)
    library.lend('2026-12-01')
    library.extend(1, '2026-12-15')
    library.lend('2026-12-20')


main()
'''

# The second booking of a transfer is a transaction of its own.
BANK = """-- @scenario the money that is paid out is booked, and nothing is booked twice
-- @pragma journal_mode=wal synchronous=full
-- @setup
CREATE TABLE accounts(id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER);
CREATE TABLE bookings(id INTEGER PRIMARY KEY, account INTEGER, amount INTEGER, text TEXT);
CREATE TABLE audit(id INTEGER PRIMARY KEY, what TEXT);
CREATE INDEX bookings_by_account ON bookings(account);
INSERT INTO accounts(owner, balance) VALUES ('Ada', 100), ('Brian', 100), ('Grace', 100);
-- @client cashier repeat=2
BEGIN IMMEDIATE;
UPDATE accounts SET balance = balance - 10 WHERE id = 1;
INSERT INTO bookings(account, amount, text) VALUES (1, -10, 'cash ' || :i);
COMMIT;
-- @client transfers repeat=2
BEGIN IMMEDIATE;
UPDATE accounts SET balance = balance - 5 WHERE id = 2;
UPDATE accounts SET balance = balance + 5 WHERE id = 3;
INSERT INTO bookings(account, amount, text) VALUES (2, -5, 'transfer ' || :i);
COMMIT;
INSERT INTO bookings(account, amount, text) VALUES (3, 5, 'transfer ' || :i);
-- @client auditor
INSERT INTO audit(what) VALUES ('checked');
-- @invariant "balances are the sum of the bookings"
SELECT a.owner FROM accounts a
 WHERE a.balance <> 100 + (SELECT coalesce(sum(amount), 0) FROM bookings b WHERE b.account = a.id);
"""

# Many states at one crash point, most of them of a journal that is there in part.
JOURNAL = """-- @scenario two accounts
-- @pragma journal_mode=delete synchronous=normal
-- @setup
CREATE TABLE a(id INTEGER PRIMARY KEY, v INTEGER);
CREATE TABLE b(id INTEGER PRIMARY KEY, v INTEGER);
INSERT INTO a VALUES (1, 100);
INSERT INTO b VALUES (1, 100);
-- @client c repeat=2
BEGIN;
UPDATE a SET v = v - 10;
UPDATE b SET v = v + 10;
COMMIT;
"""


def story_of(t, folder, token):
    ran = t.run('explain', token, '--json', 's.json', cwd=folder)
    t.code('explain is told', ran, 0)
    with open(os.path.join(folder, 's.json'), encoding='utf-8') as f:
        return ran, json.load(f)['story']


def sqlite_is_shared():
    """Statements are seen in a SQLite that is a library of its own."""
    import _sqlite3  # pylint: disable=import-outside-toplevel
    if not hasattr(_sqlite3, '__file__'):
        return False
    said = subprocess.run(['ldd', _sqlite3.__file__], capture_output=True, text=True, check=False)
    return 'libsqlite3' in said.stdout


def check_library(t):
    """A setting that a recorded program changes under way is named, with its place."""
    if not sqlite_is_shared():
        print('planted: skipped: the SQLite of python3 is no shared library', file=sys.stderr)
        return
    folder = t.folder()
    t.write(folder, 'library.py', LIBRARY)
    run = t.run('test', '--ack', 'output', '--require', 'durable', '--json', '-', '--', 'python3',
                'library.py', 'lib.db', cwd=folder)
    tokens = [v['token'] for v in run.case()['violations'] if v['oracle'] == 'history']
    t.check(len(tokens) == 1, 'the program loses commits', run, 'one finding', tokens)
    ran, story = story_of(t, folder, tokens[0])
    flat = ' '.join(ran.out.split())
    weak = [s for s in story['statements'] if s['sql'] == 'PRAGMA synchronous=NORMAL'][0]
    full = [s for s in story['statements'] if s['sql'] == 'PRAGMA synchronous=FULL'][0]
    lost = [x for x in story['transactions'] if x['presence'] == 'gone']
    first = f'before transaction {lost[0]["number"]} (UPDATE loans SET due = ? WHERE id = ?)'
    for said in (f'PRAGMA synchronous=NORMAL was run on this connection after operation '
                 f'{weak["position"]}, {first}',
                 f'until then it was FULL (set after operation {full["position"]})',
                 f'What allows it is PRAGMA synchronous=NORMAL, run after operation '
                 f'{weak["position"]}.',
                 f'set synchronous=FULL: keep the PRAGMA of operation {full["position"]}',
                 'with the syncs that it makes, run again'):
        t.has('the terminal says what allows it', ran, said, flat)
    t.same('... and marks the statement', ran, [weak['sql']],
           [s['sql'] for s in story['statements'] if s['setting']])
    t.check('(or OFF)' not in flat, '... as a fact', ran, 'no guess', story['allowed'])
    t.has('settings are no data', ran, 'PRAGMA cache_size=-4000',
          str([s['sql'] for s in story['statements']]))
    t.same('what was lost', ran, ['gone', 'gone'], [x['presence'] for x in lost])
    t.same('each lost transaction misses a sync, the first one first', ran,
           [(x['end'] >= m['after'] >= x['first_write'], True) for x, m in
            zip(lost, story['missing'])], [(True, m['matters']) for m in story['missing']])
    t.same('... and there is no other place', ran, (2, 0),
           (len(story['missing']), story['missing_left_out']))
    t.same('the fix is one', ran, [True], [f['fixed'] for f in story['fixes']])
    last = [s for s in story['statements'] if s['sql'] == 'COMMIT'][-1]
    t.same('the last COMMIT ends with its transaction, and does not close the database', ran,
           True, last['position'] < last['until'] <= max(lost[-1]['end'], lost[-1]['ack']))
    t.has('how values are shown is said', ran, '--show-data shows them', flat)
    t.check(max(map(len, ran.out.splitlines())) <= 96, 'lines fit', ran, 96,
            [x for x in ran.out.splitlines() if len(x) > 96])


def check_bank(t):
    """A state that the program itself commits is its own doing, and no loss."""
    folder, tokens = cases(t, BANK, oracle='invariant')
    ran, story = story_of(t, folder, tokens[0])
    t.has('the verdict', ran, 'no write was lost: the program itself commits this state',
          story['verdict'])
    t.has('... names both ends', ran, 'After transaction 2 (f.sql:15 to 19) is committed and before '
          "transaction 5 (f.sql:20) begins, the invariant 'balances are the sum of the bookings' "
          'does not hold', story['verdict'])
    for word in ('damaged', 'in the middle of transaction'):
        t.check(word not in story['verdict'], 'and nothing that is not so', ran, word,
                story['verdict'])
    t.same('the lines', ran, [15, 16, 17, 18, 19, 20],
           [i + 1 for i, line in enumerate(story['source']) if line['involved']])
    t.same('the transactions', ran, [2, 5], [x['number'] for x in story['transactions']
                                             if x['wrong']])
    t.has('... in the terminal', ran, 'f.sql:20  INSERT INTO bookings'.replace('  ', ' '),
          ' '.join(ran.out.split()))
    t.same('what the next one would have changed', ran, [('table bookings, rowid 4', None)],
           [(r['where'], r['found']) for r in story['rows']])
    t.has('... against what', ran, 'exactly the state after transaction 2', story['rows_against'])
    t.same('no setting is called a fix', ran, [], story['fixes'])
    t.has('... but what to do', ran, 'make transactions 2 and 5 one', story['fixes_words'])


def clash(a, b):
    """Is there an operation that the two say differently, and of which both say something?"""
    return any(a[p] != b[p] and 'unasked' not in (a[p], b[p]) for p in a)


def check_states(t):
    """What was found differs only where something of what was lost does."""
    folder, tokens = cases(t, JOURNAL, oracle='recovery')
    ran, story = story_of(t, folder, tokens[0])
    told = [(s['outcome'], {f['position']: f['fate'] for f in s['fates']})
            for s in story['states']]
    t.check(len(told) > 20, 'many states', ran, '> 20', len(told))
    same = [(a, b) for i, a in enumerate(told) for b in told[:i]
            if a[0] != b[0] and not clash(a[1], b[1])]
    t.same('no two fates leave open which of two outcomes they have', ran, [], same[:2])
    keys = [json.dumps(x) for x in told]
    t.same('the same outcome of the same fates is told once', ran, len(keys), len(set(keys)))
    t.same('counts add up', ran, int(story['states_shown']),
           sum(int(s['count']) for s in story['states']))
    if story['states_left_out'] == 0:
        t.same('... to all', ran, story['states_total'], story['states_shown'])
    flat = ' '.join(ran.out.split())
    t.has('... and are said', ran, f'This crash point has {story["states_total"]} states, and '
          f'{story["states_recoveries"]} recoveries were run', flat)


def check(t):
    check_library(t)
    check_bank(t)
    check_states(t)
