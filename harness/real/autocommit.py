"""Python's sqlite3 module with isolation_level=None: every statement is a transaction.

    autocommit.py DATABASE [PRAGMA...]

Six commits; nothing is closed, the process just ends.
"""
import os
import sqlite3
import sys

db = sqlite3.connect(sys.argv[1], isolation_level=None)
for pragma in sys.argv[2:]:
    db.execute('PRAGMA ' + pragma)
db.execute('CREATE TABLE stock(item TEXT PRIMARY KEY, pieces INTEGER)')
for item in ('bolt', 'nut', 'screw'):
    db.execute('INSERT INTO stock VALUES (?, 0)', (item,))
db.execute('UPDATE stock SET pieces = 10')
db.execute('BEGIN')
db.execute("DELETE FROM stock WHERE item = 'nut'")
db.execute("INSERT INTO stock VALUES ('nail', 7)")
db.execute('COMMIT')
os._exit(0)
