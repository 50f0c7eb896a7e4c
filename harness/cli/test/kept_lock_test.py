#!/usr/bin/env python3
"""Promises from locks where a program keeps its lock to the end (exclusive locking mode).

Usage: kept_lock_test.py PLUGPULL
"""
import json
import os
import sqlite3
import subprocess
import sys
import tempfile

PROGRAM = '''
import os, sqlite3, sys
how, count = sys.argv[1], int(sys.argv[2])
excl = how == 'excl'
c = sqlite3.connect('file:a.db' + ('?vfs=unix-excl' if excl else ''), uri=True,
                    isolation_level=None)
if not excl:
    c.execute('pragma locking_mode=exclusive')
c.execute('pragma synchronous=off')
for i in range(count):
    c.execute('insert into t values(?)', (i,))
if how == 'kill':
    os.kill(os.getpid(), 9)
os._exit(0)
'''

# how it ends, commits -> verdict, commits that a crash can lose, words of the reason or of a note
ROWS = (
    # The program ended by itself after its COMMIT returned, so that was a promise.
    ('exit', 1, 'violated', 1, None),
    ('excl', 1, 'violated', 1, None),
    ('exit', 3, 'violated', 3, None),
    # Of one that was killed nothing says whether its last COMMIT had returned.
    ('kill', 1, 'inconclusive', 0, 'no lock was released behind a commit, so nothing was promised'),
    ('kill', 3, 'violated', 2, '1 of 3 commits was never promised'),
)


def run(plugpull, how, count):
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(os.path.join(folder, 'a.db'))
        db.execute('pragma journal_mode=wal')
        db.execute('create table t(x)')
        db.close()
        done = subprocess.run(
            [plugpull, 'test', '--require', 'durable', '--json', '-', '--', sys.executable, '-c',
             PROGRAM, how, str(count)], cwd=folder, capture_output=True, text=True, timeout=60,
            check=False)
        return json.loads(done.stdout)['cases'][0]


def main():
    plugpull = os.path.abspath(sys.argv[1])
    failed = 0

    for how, count, verdict, lost, words in ROWS:
        case = run(plugpull, how, count)
        text = [case.get('reason') or ''] + case.get('notes', [])
        got = case['verdict'], case['lost_acked_max']
        if got != (verdict, lost) or (words and not any(words in t for t in text)):
            print(f'{how}, {count} commits: {got}, {text}; not {verdict}, {lost}, {words}')
            failed += 1
    print(f'{len(ROWS) - failed} passed, {failed} failed')
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
