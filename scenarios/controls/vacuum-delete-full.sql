-- @scenario VACUUM in DELETE mode at FULL: the file is cut after its journal is deleted, and no sync orders the two
-- With EXTRA the deletion is synced first (docs/findings.md).
-- @pragma journal_mode=delete
-- @matrix synchronous=full,extra
-- @expect corrupt
-- @expect durable if synchronous=extra
-- @redundant none if model=strict-posix synchronous=extra
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 12)
 SELECT i, zeroblob(3000) FROM c;
DELETE FROM t WHERE id % 2 = 0;
-- @client writer
VACUUM;
