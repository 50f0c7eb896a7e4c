-- @scenario VACUUM makes the file shorter, in SQL as old as SQLite 3.7.8: docs/sqlite-versions.md
-- What controls/vacuum-delete-full.sql does, in each journal mode and without WITH (3.8.3). What is
-- expected is what 3.11.0 and later keep; to 3.7.13, DELETE at FULL was durable.
-- @matrix journal_mode=delete,truncate,persist,wal synchronous=extra,full
-- @pragma page_size=4096
-- @expect durable
-- @expect corrupt if journal_mode=delete synchronous=full
-- @redundant none if model=strict-posix journal_mode=delete synchronous=extra
-- @redundant none if model=strict-posix journal_mode=truncate synchronous=extra
-- @redundant none if model=strict-posix journal_mode=truncate synchronous=full
-- @redundant none if model=strict-posix journal_mode=persist synchronous=extra
-- @redundant none if model=strict-posix journal_mode=persist synchronous=full
-- @redundant "sync main.db-wal #1-2" "defect failed-fsync-ignored" if model=strict-posix journal_mode=wal synchronous=extra
-- @redundant "sync main.db-wal #1-2" "defect failed-fsync-ignored" if model=strict-posix journal_mode=wal synchronous=full
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
BEGIN;
INSERT INTO t VALUES (1, zeroblob(3000));
INSERT INTO t VALUES (2, zeroblob(3000));
INSERT INTO t VALUES (3, zeroblob(3000));
INSERT INTO t SELECT id + 3, v FROM t;
INSERT INTO t SELECT id + 6, v FROM t;
COMMIT;
DELETE FROM t WHERE id % 2 = 0;
-- @client writer
VACUUM;
