"""Python's multiprocessing: forked workers with connections of their own, and one more program.

    processes.py DATABASE [PRAGMA...]

The table, three commits of each of two workers, and one of the sqlite3 shell: 8 commits.
"""
import multiprocessing
import sqlite3
import subprocess
import sys


def connect():
    db = sqlite3.connect(sys.argv[1], timeout=30)
    for pragma in sys.argv[2:]:
        db.execute('PRAGMA ' + pragma)
    return db


def work(name):
    db = connect()
    for i in range(3):
        with db:
            db.execute('INSERT INTO job VALUES (?, ?)', (f'{name} {i}', 'x' * 600))
    db.close()


if __name__ == '__main__':
    first = connect()
    first.execute('CREATE TABLE job(name TEXT PRIMARY KEY, result TEXT)')
    first.close()
    multiprocessing.set_start_method('fork')
    with multiprocessing.Pool(2) as pool:
        pool.map(work, ('a', 'b'))
    pragmas = ['PRAGMA ' + pragma + ';' for pragma in sys.argv[2:]]
    subprocess.run(['sqlite3', sys.argv[1], *pragmas, "INSERT INTO job VALUES ('last', '')"],
                   stdout=subprocess.DEVNULL, check=True)
