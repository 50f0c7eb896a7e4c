-- @scenario one transaction over two files, in SQL as old as SQLite 3.7.8: docs/sqlite-versions.md
-- What is expected is what 3.11.0 and later keep. In WAL mode SQLite promises atomicity for each file
-- only (docs/findings.md, finding 5).
-- @matrix journal_mode=delete,truncate,persist,wal synchronous=extra,full
-- @attach other other.db
-- @pragma page_size=4096
-- @expect durable
-- @expect torn if journal_mode=wal
-- @redundant "dirsync db #1,5-6" if model=strict-posix journal_mode=delete synchronous=extra
-- @redundant "dirsync db #1" if model=strict-posix journal_mode=delete synchronous=full
-- @redundant "dirsync db #1" "sync main.db-journal #3" "sync other.db-journal #3" "defect failed-fsync-ignored" if model=strict-posix journal_mode=truncate synchronous=extra
-- @redundant "dirsync db #1" "sync main.db-journal #3" "sync other.db-journal #3" "defect failed-fsync-ignored" if model=strict-posix journal_mode=truncate synchronous=full
-- @redundant "dirsync db #1" "sync main.db-journal #3" "sync other.db-journal #3" "defect failed-fsync-ignored" if model=strict-posix journal_mode=persist synchronous=extra
-- @redundant "dirsync db #1" "sync main.db-journal #3" "sync other.db-journal #3" "defect failed-fsync-ignored" if model=strict-posix journal_mode=persist synchronous=full
-- @redundant "dirsync db #1" "sync main.db-wal #1" "sync other.db-wal #1" if model=strict-posix journal_mode=wal synchronous=extra
-- @redundant "dirsync db #1" "sync main.db-wal #1" "sync other.db-wal #1" if model=strict-posix journal_mode=wal synchronous=full
-- @setup
CREATE TABLE main.a(x INTEGER);
CREATE TABLE other.b(x INTEGER);
-- @client one
BEGIN;
INSERT INTO main.a VALUES (1);
INSERT INTO other.b VALUES (1);
COMMIT;
