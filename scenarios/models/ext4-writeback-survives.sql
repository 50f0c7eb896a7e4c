-- @scenario ext4-writeback can show an old log in a new one, and WAL holds: it syncs a new header before the first frame
-- The log is cut to nothing after every round, so that its blocks are free to show up again. The old
-- log must never be replayed: its first commit would undo half of what the second one did.
-- @models ext4-writeback strict-posix
-- @pragma journal_mode=wal synchronous=full
-- @require durable
-- @redundant "sync main.db-wal #1" if model=ext4-writeback
-- @redundant "sync main.db-wal #1,5,9" if model=strict-posix
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
CREATE TABLE u(id INTEGER PRIMARY KEY, v);
INSERT INTO t VALUES (1, 0);
INSERT INTO u VALUES (1, 0);
-- @client a repeat=3
UPDATE t SET v = 10 * :i;
BEGIN;
UPDATE t SET v = 10 * :i + 1;
UPDATE u SET v = 10 * :i + 1;
COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);
