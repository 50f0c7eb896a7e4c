"""A program that knows what it may promise: it speaks of its commits only after a checkpoint.

    says_so.py DATABASE [PRAGMA...]

Three commits and a checkpoint, twice: 7 commits with the table.
"""
import sqlite3
import sys

db = sqlite3.connect(sys.argv[1])
for pragma in sys.argv[2:]:
    db.execute('PRAGMA ' + pragma)
db.execute('CREATE TABLE letter(id INTEGER PRIMARY KEY, text TEXT)')
for day in ('monday', 'tuesday'):
    for i in range(3):
        with db:
            db.execute('INSERT INTO letter(text) VALUES (?)', (f'{day} {i}',))
    db.execute('PRAGMA wal_checkpoint(FULL)')
    print(f'the letters of {day} are safe', flush=True)
db.close()
