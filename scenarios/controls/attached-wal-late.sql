-- @scenario two WAL files, the second first read inside the transaction that writes to both: torn all the same
-- @attach side side.db
-- @pragma synchronous=full
-- @expect torn
-- @redundant "dirsync db #1-3" "sync main.db #1" "sync main.db-journal #1-2" "sync main.db-wal #1" "sync side.db #1" "sync side.db-journal #1-2" "sync side.db-wal #1" if model=strict-posix
-- @setup
CREATE TABLE t(x);
CREATE TABLE side.u(x);
-- @client writer
PRAGMA main.journal_mode=wal;
PRAGMA side.journal_mode=wal;
BEGIN;
INSERT INTO t VALUES (1);
INSERT INTO side.u VALUES (1);
COMMIT;
