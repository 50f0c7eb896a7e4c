-- @scenario strict-posix keeps what WAL at FULL acknowledged: each frame is checked, and synced before the answer
-- On a disk that damages the rest of a sector (D9), the next commit's first frame can take the
-- last one of this commit along, because both are in one sector.
-- @define-model damaging psow=no
-- @models strict-posix damaging
-- @pragma journal_mode=wal synchronous=full wal_autocheckpoint=4
-- @expect durable
-- @expect consistent if model=damaging
-- @redundant "sync main.db-wal #1,3,5" if model=strict-posix
-- @redundant "sync main.db-wal #1" if model=damaging model.psow=no
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
-- @client a repeat=3
INSERT INTO t(v) VALUES (zeroblob(5000));
