-- @scenario when only the processes die nothing needs a sync: a journal on disk and synchronous=OFF keep every commit
-- When the power fails they keep none.
-- @models process-crash strict-posix
-- @matrix journal_mode=truncate,wal
-- @pragma synchronous=off
-- @expect durable
-- @expect corrupt if model=strict-posix
-- @redundant none if model=process-crash journal_mode=truncate
-- @redundant none if model=process-crash journal_mode=wal
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
-- @client a repeat=2
INSERT INTO t(v) VALUES (zeroblob(5000));
