"""Python's sqlite3 module as its manual uses it: BEGIN is its own business, commits are asked for.

    one_connection.py DATABASE [PRAGMA...]

Six commits: the table, the index, three orders, a batch. The last insert is never committed.
"""
import sqlite3
import sys

db = sqlite3.connect(sys.argv[1])
for pragma in sys.argv[2:]:
    db.execute('PRAGMA ' + pragma)
db.execute('CREATE TABLE stock(item TEXT PRIMARY KEY, pieces INTEGER)')
db.execute('CREATE INDEX stock_by_pieces ON stock(pieces)')
for item in ('bolt', 'nut', 'screw'):
    with db:
        db.execute('INSERT INTO stock VALUES (?, 0)', (item,))
        db.execute('UPDATE stock SET pieces = pieces + 10')
db.executemany('INSERT INTO stock VALUES (?, ?)', [(f'part {i}', i) for i in range(50)])
db.commit()
db.execute("INSERT INTO stock VALUES ('forgotten', 1)")
db.close()
