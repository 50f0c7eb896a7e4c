#!/usr/bin/env python3
"""The barrier lint on recordings, in which only locks and outputs say that a commit is over: it is
silent on settings that keep every commit, and names the sync that is missing on the others.

    recorded_lint_test.py PLUGPULL

All journal modes take a few seconds; without PLUGPULL_LONG it is the ones that differ.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

SHOP = '''
import sqlite3
shop = sqlite3.connect('shop.db', isolation_level=None)
shop.execute("PRAGMA locking_mode={lock}")
shop.execute("PRAGMA journal_mode={mode}")
shop.execute("PRAGMA synchronous={sync}")
shop.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT)")
for item in ("book", "lamp", "chair"):
    shop.execute("INSERT INTO orders(item) VALUES (?)", (item,))
    print(item, flush=True)
'''

RELEASED = r'a commit was over, and its lock was released \(op \d+\) before '
OUTPUT = r'a commit was over, and output followed \(op \d+\) before '
DELETED = (r'the end of its journal was durable, so a power loss can bring shop.db-journal back and '
           r'roll it back: there is no directory sync for shop.db-journal between its deletion '
           r'\(op \d+\) and ')
FRAMES = (r'its frames in shop.db-wal were synced: there is no sync of shop.db-wal between the last '
          r'of them \(op \d+\) and ')

# journal mode, synchronous, locking mode, --ack; what the lint says of promises (None: nothing),
# how often.
CASES = [
    ('delete', 'extra', 'normal', 'lock', None, 0),
    ('delete', 'extra', 'normal', 'output', None, 0),
    ('delete', 'full', 'normal', 'lock', RELEASED + DELETED + r'the release of the lock', 4),
    ('delete', 'full', 'normal', 'output', OUTPUT + DELETED + r'the output', 3),
    ('wal', 'full', 'normal', 'lock', None, 0),
    # There the next transaction's first write says that the last one was over.
    ('wal', 'full', 'exclusive', 'lock', None, 0),
    ('wal', 'normal', 'normal', 'lock', RELEASED + FRAMES + r'the release of the lock', 4),
    ('wal', 'normal', 'exclusive', 'lock',
     r'a commit was over, and the next transaction began \(op \d+\) before ' + FRAMES +
     r'the next transaction', 3),
]
LONG = [(mode, sync, lock, ack, None, 0)
        for mode in ('delete', 'truncate', 'persist', 'wal') for sync in ('extra', 'full')
        for lock in ('normal', 'exclusive') for ack in ('lock', 'output')
        if (mode, sync, lock) != ('delete', 'full', 'normal')]


def findings(plugpull, folder, mode, sync, lock, ack):
    with open(os.path.join(folder, 'shop.py'), 'w', encoding='utf-8') as f:
        f.write(SHOP.format(mode=mode, sync=sync, lock=lock))
    run = subprocess.run([plugpull, 'test', '--json', '-', '--ack', ack, '--', sys.executable,
                          'shop.py'], cwd=folder, capture_output=True, text=True, timeout=120)
    return [x for case in json.loads(run.stdout)['cases'] for x in case.get('lint', [])], run


def main():
    plugpull = os.path.abspath(sys.argv[1])
    passed = failed = 0
    for mode, sync, lock, ack, expected, times in CASES + (LONG if 'PLUGPULL_LONG' in os.environ
                                                           else []):
        with tempfile.TemporaryDirectory() as folder:
            said, run = findings(plugpull, folder, mode, sync, lock, ack)
        about = [s for s in said if s['message'].startswith('a commit was')]
        if expected is None:
            good = run.returncode == 0 and said == []
        else:
            good = len(about) == 1 and about[0]['count'] == times and \
                re.fullmatch(expected + r' \(op \d+\)', about[0]['message'])
        if good:
            passed += 1
        else:
            failed += 1
            print(f'FAILED: {mode} {sync} {lock} --ack {ack}\n{run.stdout}{run.stderr}')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
