-- @scenario barriers keep what is before a sync in front of what is after it, and that is all that WAL needs to stay whole
-- Through a checkpoint, too. Without the order (lying-disk) the checkpoint reaches the database
-- before the log does.
-- @models apfs-barrier lying-disk
-- @pragma journal_mode=wal synchronous=normal wal_autocheckpoint=3
-- @expect consistent
-- @expect corrupt if model=lying-disk
-- @redundant "sync main.db-wal #1" if model=apfs-barrier
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
CREATE INDEX t_v ON t(v);
-- @client a repeat=3
INSERT INTO t(v) VALUES (randomblob(900)), (randomblob(900));
