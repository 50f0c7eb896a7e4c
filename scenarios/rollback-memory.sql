-- @scenario a journal in memory, or none, cannot undo what a crash cut short, not even without power loss
-- @models strict-posix process-crash
-- @matrix journal_mode=memory,off
-- @pragma synchronous=full
-- @expect corrupt
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
CREATE INDEX t_v ON t(v);
INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 24)
 SELECT i, printf('%0150d', i) FROM c;
-- @client writer repeat=3
BEGIN;
UPDATE t SET v = printf('%0150d', id + 1000 * :i) WHERE id % 8 = 1;
INSERT INTO t(v) VALUES (printf('%0150d', :i));
COMMIT;
