"""Python threads, each with a connection of its own to the same database.

    threads.py DATABASE [PRAGMA...]

The table, and four commits of each of three threads: 13 commits.
"""
import sqlite3
import sys
import threading


def connect():
    db = sqlite3.connect(sys.argv[1], timeout=30)
    for pragma in sys.argv[2:]:
        db.execute('PRAGMA ' + pragma)
    return db


def work(name):
    db = connect()
    for i in range(4):
        with db:
            db.execute('INSERT INTO job VALUES (?, ?)', (f'{name} {i}', 'x' * 600))
    db.close()


first = connect()
first.execute('CREATE TABLE job(name TEXT PRIMARY KEY, result TEXT)')
threads = [threading.Thread(target=work, args=(name,)) for name in ('a', 'b', 'c')]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
first.close()
