-- @scenario WAL with a checkpoint of every kind between the commits
-- @models strict-posix process-crash
-- @pragma journal_mode=wal synchronous=full wal_autocheckpoint=2
-- @require durable
-- @redundant "sync main.db-wal #1-2,4,7,10,13-14,16,19,22,25-26,28,31-32,34" if model=strict-posix
-- @redundant none if model=process-crash
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 60)
 SELECT i, printf('%0120d', i) FROM c;
-- @client writer repeat=3
UPDATE t SET v = printf('%0120d', :i) WHERE id IN (1, 30, 60);
UPDATE t SET v = printf('%0121d', :i) WHERE id = 2;
PRAGMA wal_checkpoint(FULL);
INSERT INTO t(v) VALUES (printf('%0120d', :r));
PRAGMA wal_checkpoint(RESTART);
DELETE FROM t WHERE id = 10 + :i;
PRAGMA wal_checkpoint(TRUNCATE);
-- @client reader repeat=3
SELECT count(*) FROM t;
