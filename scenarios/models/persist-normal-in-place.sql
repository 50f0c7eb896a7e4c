-- @scenario PERSIST at NORMAL over an old journal: a record of an earlier transaction passes for one of this transaction
-- docs/findings.md, 2 and 14. The journal is longer than any transaction needs, so nothing is appended
-- and no size waits for data. Of the new record of page 1 the first sectors are those of an older
-- record of page 1; they differ where the checksum, which samples every 200th byte, does not look.
-- @define-model in-order reorder=none
-- @models xfs ext4-ordered in-order
-- @pragma journal_mode=persist synchronous=normal
-- @expect corrupt
-- @expect durable if model=in-order
-- @redundant "sync main.db #1-2" "sync main.db-journal #1,3" if model=in-order model.reorder=none
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
INSERT INTO t VALUES (1, zeroblob(60000));
DELETE FROM t;
INSERT INTO t VALUES (1, zeroblob(20000));
UPDATE t SET v = zeroblob(20000);
-- @client a repeat=2
INSERT INTO t(v) VALUES (zeroblob(5000));
