-- @scenario without powersafe overwrite a commit can damage the acknowledged one before it: their WAL frames share a sector
-- SQLite pads the log to whole sectors when it is told so (psow=0 in the file's URI); it was not. The
-- same disk with powersafe overwrite (`psow`) keeps every commit.
-- @define-model psow hole=garbage sector=512
-- @models legacy-512-nopsow psow
-- @pragma journal_mode=wal synchronous=full
-- @expect durable
-- @expect consistent if model=legacy-512-nopsow
-- @redundant "sync main.db-wal #1" if model=legacy-512-nopsow
-- @redundant "sync main.db-wal #1" if model=psow model.hole=garbage model.sector=512
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
-- @client a repeat=2
INSERT INTO t(v) VALUES (:i);
