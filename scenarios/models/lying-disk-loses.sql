-- @scenario on a disk that lies about fsync the safest settings are as bad as none
-- @models lying-disk strict-posix
-- @matrix journal_mode=wal,delete
-- @pragma synchronous=extra wal_autocheckpoint=2
-- @expect durable
-- @expect corrupt if model=lying-disk
-- @redundant "sync main.db-wal #1-2,4-5,7-8" if model=strict-posix journal_mode=wal
-- @redundant none if model=strict-posix journal_mode=delete
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
-- @client a repeat=3
INSERT INTO t(v) VALUES (zeroblob(5000));
