-- @scenario on a disk that lies about fsync nothing holds; a run that stayed green here saw nothing
-- @models lying-disk
-- @pragma journal_mode=wal synchronous=full wal_autocheckpoint=4
-- @expect corrupt
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
CREATE INDEX t_v ON t(v);
-- @client writer repeat=6
INSERT INTO t(v) VALUES (printf('%0500d', :i)), (printf('%0501d', :i));
