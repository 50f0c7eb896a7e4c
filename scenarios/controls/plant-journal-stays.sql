-- @scenario planted defect: a journal that recovery rolled back is not deleted
-- A hot journal has no grade of its own; what is written next is rolled back by it, and that is
-- corrupt.
-- @pragma journal_mode=delete synchronous=extra
-- @expect corrupt
-- @plant journal-stays
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
INSERT INTO t VALUES (1, zeroblob(6000));
-- @client a
UPDATE t SET v = zeroblob(7000);
