-- @scenario XFS commits everybody's metadata with the size of a file: a log that grew says nothing that is not so
-- A job is done in one database (DELETE at FULL: its journal's deletion is not synced) and then noted
-- in another (WAL). The log was cut before, so its new header changes its size, and the sync of the
-- header takes the deletion along. Where a sync is for its own file only (nvme-4k, strict-posix), the
-- job can be undone by the journal that comes back, and the note stays.
-- @models xfs ext4-ordered nvme-4k strict-posix
-- @attach log log.db
-- @pragma synchronous=full
-- @expect consistent
-- @expect corrupt if model=nvme-4k
-- @expect corrupt if model=strict-posix
-- @redundant "sync log.db-wal #1" "sync main.db-journal #2" if model=xfs
-- @redundant "sync log.db-wal #1" "sync main.db-journal #2" if model=ext4-ordered
-- @setup
CREATE TABLE main.job(n INTEGER PRIMARY KEY);
CREATE TABLE log.done(n INTEGER PRIMARY KEY);
PRAGMA log.journal_mode=wal;
-- @client worker
INSERT INTO log.done VALUES (0);
PRAGMA log.wal_checkpoint(TRUNCATE);
INSERT INTO job VALUES (1);
INSERT INTO log.done VALUES (1);
-- @invariant "what the log says is done is done"
SELECT n FROM log.done WHERE n > 0 AND n NOT IN (SELECT n FROM main.job);
