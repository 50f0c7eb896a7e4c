"""What real programs are run with, and how each must be graded, said before anybody looked.

A grade is written 'durable', 'consistent 3' (three acknowledged commits lost at most), 'corrupt'.
'consistent *': how many depends on how threads or processes meet. Why a grade must be so is
said in `why`; D1 to D12 are the rules of docs/disk-model.md, numbers with # entries of
docs/findings.md.

In commands, {in} is this folder, {py} a python3, {dbmate} the program of that name. Each runs in an
empty folder of its own, after `before`, which is not recorded: what it leaves is the durable base.
`options` are those of `plugpull test`.
"""


class Case:
    def __init__(self, name, command, grades, commits, why, before=None, options=()):
        self.name, self.command, self.commits, self.why = name, command, commits, why
        self.before, self.options = before, options
        self.grades = {'strict-posix': grades} if isinstance(grades, str) else grades


C_DELETE = 'FULL syncs nothing after the journal is deleted, and the next journal\'s first sync ' \
           'keeps the deletion: one commit (#1)'
NORMAL_E = 'the record count and the records of the journal are in one sync, and the checksum ' \
           'samples every 200th byte (#2)'


def shell(settings, *commands, db='app.db'):
    pragmas = [f'PRAGMA {setting};' for setting in settings.split()]
    return ['sqlite3', db, *pragmas, *commands]


HOLDS = ['--invariant', '{in}/ledger_holds.sql']
LEDGER, MORE = '.read {in}/ledger.sql', '.read {in}/ledger_more.sql'

SHELL = [
    Case('as it comes', shell('', LEDGER),
         {'strict-posix': 'consistent 1', 'ext4-ordered': 'consistent 1', 'xfs': 'consistent 1',
          'apfs-no-fullfsync': 'corrupt', 'process-crash': 'durable'}, 8,
         'Debian\'s defaults are DELETE and FULL. ' + C_DELETE + '. A disk that lies keeps nothing '
         'in order, and a kill loses nothing (D11)'),
    Case('delete, extra', shell('synchronous=EXTRA', LEDGER),
         {'strict-posix': 'durable', 'ext4-ordered': 'durable'}, 8,
         'EXTRA syncs the folder after the deletion'),
    Case('delete, normal', shell('synchronous=NORMAL', LEDGER),
         {'strict-posix': 'corrupt', 'ext4-ordered': 'corrupt', 'process-crash': 'durable'}, 8,
         NORMAL_E),
    Case('delete, off', shell('synchronous=OFF', LEDGER),
         {'strict-posix': 'corrupt', 'process-crash': 'durable'}, 8,
         'nothing is synced, and the pages of schema and index depend on each other (#3)'),
    Case('truncate, full', shell('journal_mode=TRUNCATE', LEDGER), 'durable', 8,
         'the journal is synced after it was cut to nothing'),
    Case('persist, full', shell('journal_mode=PERSIST', LEDGER), 'durable', 8,
         'the journal is synced after its header was zeroed'),
    Case('memory', shell('journal_mode=MEMORY', LEDGER),
         {'strict-posix': 'corrupt', 'process-crash': 'corrupt'}, 8,
         'a transaction writes two pages, and nobody can undo the first (#4)'),
    Case('wal, full', shell('journal_mode=WAL', LEDGER),
         {'strict-posix': 'durable', 'ext4-ordered': 'durable', 'ext4-writeback': 'durable',
          'process-crash': 'durable'}, 8,
         'FULL is what Debian\'s shell has in WAL mode, too: every commit syncs the log'),
    Case('wal, normal', shell('journal_mode=WAL synchronous=NORMAL', LEDGER),
         {'strict-posix': 'consistent 8', 'ext4-ordered': 'consistent 8',
          'process-crash': 'durable'}, 8,
         'nothing is synced before the checkpoint when the shell closes: all eight can be gone'),
    Case('wal, off', shell('journal_mode=WAL synchronous=OFF', LEDGER), 'corrupt', 8,
         'the checkpoint at the end writes into a database whose log nobody synced (D12)'),
    Case('as it comes, with invariants', shell('', LEDGER), 'consistent 1', 8,
         'the balances add up in every state that a crash leaves',
         options=HOLDS),
    Case('wal, full, automatic checkpoints',
         shell('journal_mode=WAL wal_autocheckpoint=4', LEDGER, MORE), 'durable', 12,
         'checkpoints sync the log before, the database before the log begins again'),
    Case('wal, normal, automatic checkpoints',
         shell('journal_mode=WAL synchronous=NORMAL wal_autocheckpoint=4', LEDGER, MORE),
         'consistent 3', 12, 'what came after the last checkpoint'),
    Case('.backup', shell('', '.backup copy.db'), 'consistent 1', 1,
         'the copy is one transaction upon an empty file, of DELETE at FULL. ' + C_DELETE,
         before=shell('', LEDGER)),
    Case('.backup, the copied file in WAL mode', shell('', '.backup copy.db'), 'consistent 1', 1,
         'the copy is written under a rollback journal all the same',
         before=shell('journal_mode=WAL', LEDGER)),
    Case('VACUUM INTO', shell('', "VACUUM INTO 'copy.db'"), 'consistent 1', 1,
         'as .backup: the copy is written under a journal and synced', before=shell('', LEDGER)),
    Case('VACUUM', shell('', 'VACUUM'), {'strict-posix': 'corrupt'}, 0,
         'the journal is deleted before the file is cut, and nothing orders the two (#11). No row '
         'changes, so nothing is acknowledged',
         before=shell('', LEDGER, 'CREATE TABLE big(id INTEGER PRIMARY KEY, x);'
                      'INSERT INTO big SELECT value, zeroblob(3000) FROM generate_series(1, 12);'
                      'DELETE FROM big WHERE id % 2;')),
    Case('VACUUM, extra', shell('synchronous=EXTRA', 'VACUUM'), 'durable', 0,
         'the folder is synced between the two (#11)',
         before=shell('', LEDGER, 'CREATE TABLE big(id INTEGER PRIMARY KEY, x);'
                      'INSERT INTO big SELECT value, zeroblob(3000) FROM generate_series(1, 12);'
                      'DELETE FROM big WHERE id % 2;')),
    Case('.dump into another shell', ['sh', '-c', 'sqlite3 app.db .dump | sqlite3 copy.db'],
         'consistent 1', 1, 'one transaction, DELETE at FULL, by the second of two processes',
         before=shell('', LEDGER)),
    Case('a copy by cp, then extra',
         ['sh', '-c', "cp app.db copy.db; sqlite3 copy.db 'PRAGMA synchronous=EXTRA;' "
                      "'" + MORE + "'"],
         'corrupt', 4, 'cp syncs nothing, so until SQLite\'s first sync of the file any part of it '
         'is there; its journal holds the pages that it changes, and not the others',
         before=shell('', LEDGER)),
    Case('removed and made anew, extra',
         ['sh', '-c', "sqlite3 app.db 'PRAGMA synchronous=EXTRA;' '" + LEDGER + "'; rm app.db; "
          "sqlite3 app.db 'PRAGMA synchronous=EXTRA;' '" + LEDGER + "'"], 'durable', 16,
         'no database at all is what there was after rm, and the first sync of the new one\'s '
         'folder keeps that'),
    Case('replaced by its vacuumed copy',
         ['sh', '-c', "sqlite3 app.db 'PRAGMA synchronous=EXTRA;' '" + LEDGER + "' \"VACUUM INTO "
          "'new.db'\"; mv new.db app.db; sqlite3 app.db 'PRAGMA synchronous=EXTRA;' "
          "'" + MORE + "'"], 'durable', 13, 'the copy was synced before it was renamed, and the '
         'first journal\'s sync of the folder keeps the rename'),
    Case('replaced by an unsynced one',
         ['sh', '-c', "sqlite3 new.db 'PRAGMA synchronous=OFF;' '" + LEDGER + "'; "
          "mv new.db app.db"], 'corrupt', 8,
         'the rename can reach the disk before what it names'),
    Case('two files, extra', shell('', "ATTACH 'other.db' AS other;",
                                   'PRAGMA main.synchronous=EXTRA;'
                                   'PRAGMA other.synchronous=EXTRA;', '.read {in}/two_files.sql'),
         'durable', 5, 'a super-journal keeps both together, and its deletion is synced (#5)'),
    Case('two files, as it comes', shell('', "ATTACH 'other.db' AS other;",
                                         '.read {in}/two_files.sql'),
         'consistent 1', 5, 'transactions over both end with a synced deletion of the '
         'super-journal; one of one file does not (#1), but whatever syncs the folder next keeps '
         'both files\' names'),
    Case('two files, wal', shell('', "ATTACH 'other.db' AS other;", 'PRAGMA main.journal_mode=WAL;'
                                 'PRAGMA other.journal_mode=WAL;', '.read {in}/two_files.sql'),
         'torn', 5, 'with WAL, a transaction over two files is atomic in each only (#5)'),
    Case('killed inside a transaction, extra', ['sh', '{in}/killed.sh', 'synchronous=EXTRA'],
         {'strict-posix': 'durable', 'process-crash': 'durable'}, 12,
         'the next shell rolls the hot journal back, which is no commit'),
    Case('killed inside a transaction, as it comes', ['sh', '{in}/killed.sh'], 'consistent 1', 12,
         C_DELETE),
    Case('killed inside a transaction, wal', ['sh', '{in}/killed.sh', 'journal_mode=WAL'],
         {'strict-posix': 'durable', 'process-crash': 'durable'}, 12,
         'the next shell recovers the log up to the last commit', options=HOLDS),
    Case('exclusive, as it comes otherwise', shell('locking_mode=EXCLUSIVE', LEDGER), 'durable', 8,
         'the journal stays open, so a transaction ends by a zeroed header, and that is synced'),
    Case('exclusive, wal, normal',
         shell('locking_mode=EXCLUSIVE journal_mode=WAL synchronous=NORMAL', LEDGER),
         'consistent 7', 8, 'as without, but the lock goes only after the last checkpoint: the '
         'eighth is safe by then'),
    Case('locks by a folder, extra',
         shell('synchronous=EXTRA', LEDGER, db='file:app.db?vfs=unix-dotfile'), 'durable', 8,
         'there is no lock to see; the journal says when a transaction ends'),
    Case('no locks, as it comes otherwise', shell('', LEDGER, db='file:app.db?nolock=1'),
         'consistent 1', 8, 'the same. ' + C_DELETE),
    Case('three shells, one after another', ['sh', '{in}/shells.sh', 'after'], 'durable', 16,
         'each shell checkpoints and deletes its log when it ends; the next one\'s first sync of '
         'its log syncs the folder, too'),
    Case('two shells beside each other', ['sh', '{in}/shells.sh', 'beside'], 'durable', 16,
         'WAL at FULL syncs before the lock goes, whoever is next', options=HOLDS),
]

PYTHON = [
    Case('as it comes', ['{py}', '{in}/one_connection.py', 'app.db'],
         {'strict-posix': 'consistent 1', 'ext4-ordered': 'consistent 1',
          'process-crash': 'durable'}, 6,
         'the module opens with SQLite\'s defaults, DELETE and FULL. ' + C_DELETE + '. What was '
         'not committed is no commit'),
    Case('extra', ['{py}', '{in}/one_connection.py', 'app.db', 'synchronous=EXTRA'], 'durable', 6,
         'EXTRA syncs the folder after the deletion'),
    Case('wal, full', ['{py}', '{in}/one_connection.py', 'app.db', 'journal_mode=WAL'],
         'durable', 6, 'every commit syncs the log'),
    Case('wal, normal', ['{py}', '{in}/one_connection.py', 'app.db', 'journal_mode=WAL',
                         'synchronous=NORMAL'], 'consistent 6', 6,
         'nothing is synced before the checkpoint when the connection closes'),
    Case('off', ['{py}', '{in}/one_connection.py', 'app.db', 'synchronous=OFF'], 'corrupt', 6,
         'nothing is synced, and an index depends on its table (#3)'),
    Case('autocommit, never closed', ['{py}', '{in}/autocommit.py', 'app.db', 'journal_mode=WAL'],
         'durable', 6, 'the log is synced at each commit, and stays behind for the next one'),
    Case('autocommit at normal, never closed', ['{py}', '{in}/autocommit.py', 'app.db',
                                                'journal_mode=WAL', 'synchronous=NORMAL'],
         'consistent 6', 6, 'there is no checkpoint at all, so nothing is ever synced'),
    Case('threads, wal', ['{py}', '{in}/threads.py', 'app.db', 'journal_mode=WAL'], 'durable', 13,
         'WAL at FULL syncs before the lock goes, whoever is next'),
    Case('threads, as it comes', ['{py}', '{in}/threads.py', 'app.db'], 'consistent 1', 13,
         C_DELETE),
    Case('processes, wal', ['{py}', '{in}/processes.py', 'app.db', 'journal_mode=WAL'],
         'durable', 8, 'WAL at FULL syncs before the lock goes, whoever is next'),
    Case('processes, as it comes', ['{py}', '{in}/processes.py', 'app.db'], 'consistent 1', 8,
         C_DELETE),
    Case('wal, normal, by the locks', ['{py}', '{in}/says_so.py', 'app.db', 'journal_mode=WAL',
                                       'synchronous=NORMAL'], 'consistent 4', 7,
         'the table and the three commits before the first checkpoint'),
    Case('wal, normal, by what it says', ['{py}', '{in}/says_so.py', 'app.db', 'journal_mode=WAL',
                                          'synchronous=NORMAL'], 'durable', 7,
         'it says nothing before a checkpoint has synced the log and the database',
         options=['--ack', 'output']),
    Case('as it comes, by what it says', ['{py}', '{in}/says_so.py', 'app.db'], 'consistent 1', 7,
         'it has said that all are safe when the last deletion of a journal can still be undone '
         '(#1)',
         options=['--ack', 'output']),
    Case('Connection.backup()', ['{py}', '-c', 'import sqlite3; sqlite3.connect("app.db").backup('
                                 'sqlite3.connect("copy.db"))'], 'consistent 1', 1,
         'the copy is one transaction upon an empty file, of DELETE at FULL. ' + C_DELETE,
         before=shell('', LEDGER)),
]

NODE = [
    Case('as it comes', ['node', '{in}/one_connection.js', 'app.db'],
         {'strict-posix': 'consistent 1', 'ext4-ordered': 'consistent 1',
          'process-crash': 'durable'}, 6, 'DELETE and FULL. ' + C_DELETE),
    Case('wal as its manual advises', ['node', '{in}/one_connection.js', 'app.db',
                                       'journal_mode = WAL'],
         {'strict-posix': 'consistent 6', 'ext4-ordered': 'consistent 6',
          'process-crash': 'durable'}, 6,
         'it is compiled with SQLITE_DEFAULT_WAL_SYNCHRONOUS=1, so WAL alone is NORMAL: everything '
         'since the last checkpoint'),
    Case('wal, full', ['node', '{in}/one_connection.js', 'app.db', 'journal_mode = WAL',
                       'synchronous = FULL'], 'durable', 6, 'every commit syncs the log'),
    Case('extra', ['node', '{in}/one_connection.js', 'app.db', 'synchronous = EXTRA'], 'durable', 6,
         'EXTRA syncs the folder after the deletion'),
    Case('off', ['node', '{in}/one_connection.js', 'app.db', 'synchronous = OFF'], 'corrupt', 6,
         'nothing is synced, and an index depends on its table (#3)'),
    Case('worker threads, wal, full', ['node', '{in}/workers.js', 'app.db', 'journal_mode = WAL',
                                       'synchronous = FULL'], 'durable', 7,
         'WAL at FULL syncs before the lock goes, whoever is next'),
    Case('worker threads, wal as its manual advises', ['node', '{in}/workers.js', 'app.db',
                                                       'journal_mode = WAL'], 'consistent *', 7,
         'NORMAL; how many depends on when a connection was the last to close, which checkpoints'),
    Case('backup()', ['node', '-e', 'require("better-sqlite3")("app.db").backup("copy.db")'],
         'consistent 1', 1,
         'the copy is one transaction upon an empty file, of DELETE at FULL. ' + C_DELETE,
         before=shell('', LEDGER)),
]

UP = ['{dbmate}', '--no-dump-schema', '--migrations-dir', '{in}/migrations', '--url']

# Statically linked: recorded by strace.
DBMATE = [
    Case('as it comes', [*UP, 'sqlite:app.db', 'up'],
         {'strict-posix': 'corrupt', 'ext4-ordered': 'corrupt', 'process-crash': 'durable'}, 4,
         'its driver sets synchronous to NORMAL, in DELETE mode. ' + NORMAL_E),
    Case('full', [*UP, 'sqlite:app.db?_sync=FULL', 'up'], 'consistent 1', 4, C_DELETE),
    Case('extra', [*UP, 'sqlite:app.db?_sync=EXTRA', 'up'], 'durable', 4,
         'EXTRA syncs the folder after the deletion'),
    Case('wal', [*UP, 'sqlite:app.db?_journal_mode=WAL', 'up'], 'consistent 4', 4,
         'NORMAL: nothing is synced before the checkpoint at the end'),
    Case('wal, full', [*UP, 'sqlite:app.db?_journal_mode=WAL&_synchronous=FULL', 'up'], 'durable',
         4, 'every commit syncs the log'),
    Case('off', [*UP, 'sqlite:app.db?_sync=OFF', 'up'], 'corrupt', 4, 'nothing is synced (#3)'),
]
