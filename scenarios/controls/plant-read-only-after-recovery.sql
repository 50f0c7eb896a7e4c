-- @scenario planted defect: after recovery the database refuses every write
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @plant read-only-after-recovery
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
-- @client a
INSERT INTO t VALUES (1, 'x');
