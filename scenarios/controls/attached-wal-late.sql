-- @scenario two WAL files, the second first read inside the transaction that writes to both: torn all the same
-- @attach side side.db
-- @pragma synchronous=full
-- @expect torn
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
