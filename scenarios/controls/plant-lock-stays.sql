-- @scenario planted defect: the locks that recovery took are not released
-- Nobody gets in any more, which has no grade: -v shows the finding of the oracle "liveness".
-- @matrix journal_mode=wal,delete
-- @pragma synchronous=extra
-- @expect durable
-- @plant lock-stays
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
-- @client a
INSERT INTO t VALUES (1, 'x');
