-- @scenario XFS commits no metadata when a file is only overwritten: a log that did not grow can say more than is so
-- As xfs-survives.sql, but the log is begun again in its old length. fdatasync of an overwrite leaves
-- XFS's own log where it was, and the deletion of the journal in memory. `in-order`: a sync of
-- anything is a sync of everything before it.
-- @define-model in-order reorder=none
-- @models xfs in-order
-- @attach log log.db
-- @pragma synchronous=full
-- @expect corrupt
-- @expect consistent if model=in-order
-- @redundant "sync log.db #1-2" "sync log.db-wal #1" "sync main.db #1" "sync main.db-journal #1-2" if model=in-order model.reorder=none
-- @setup
CREATE TABLE main.job(n INTEGER PRIMARY KEY);
CREATE TABLE log.done(n INTEGER PRIMARY KEY);
PRAGMA log.journal_mode=wal;
-- @client worker
INSERT INTO log.done VALUES (0);
PRAGMA log.wal_checkpoint(RESTART);
INSERT INTO job VALUES (1);
INSERT INTO log.done VALUES (1);
-- @invariant "what the log says is done is done"
SELECT n FROM log.done WHERE n > 0 AND n NOT IN (SELECT n FROM main.job);
