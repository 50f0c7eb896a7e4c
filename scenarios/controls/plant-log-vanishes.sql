-- @scenario planted defect: the log is cut to nothing when it is closed
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @plant log-vanishes
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
-- @client a
INSERT INTO t VALUES (1, 'x');
