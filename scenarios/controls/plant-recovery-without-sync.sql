-- @scenario planted defect: recovery syncs nothing (run with --depth 2)
-- @pragma journal_mode=delete synchronous=extra
-- @expect corrupt
-- @plant recovery-without-sync
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
INSERT INTO t VALUES (1, zeroblob(6000));
-- @client a
UPDATE t SET v = zeroblob(7000);
INSERT INTO t VALUES (2, zeroblob(6000));
