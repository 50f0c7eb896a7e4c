-- @scenario what each journal mode keeps at each level of synchronous, in SQL as old as SQLite 3.7.8: docs/sqlite-versions.md
-- What models/modes.sql does, without printf() (3.8.3) and several rows in VALUES (3.7.11), and with
-- the page size said, whose default became 4096 in 3.12.0. What is expected is what 3.11.0 and later
-- keep; run with an older library (--sqlite), the cases that were otherwise are violated.
-- @matrix journal_mode=delete,truncate,persist,memory,off,wal synchronous=extra,full,normal,off
-- @pragma page_size=4096 wal_autocheckpoint=5
-- @expect durable
-- @expect consistent if journal_mode=delete synchronous=full
-- @expect consistent if synchronous=normal
-- @expect corrupt if journal_mode=delete synchronous=normal
-- @expect corrupt if journal_mode=truncate synchronous=normal
-- @expect corrupt if journal_mode=persist synchronous=normal
-- @expect corrupt if synchronous=off
-- @expect corrupt if journal_mode=memory
-- @expect corrupt if journal_mode=off
-- @redundant "dirsync db #1" "sync main.db-journal #2" if model=strict-posix journal_mode=delete synchronous=extra
-- @redundant "dirsync db #1" "sync main.db-journal #2" if model=strict-posix journal_mode=delete synchronous=full
-- @redundant "sync main.db-journal #2" if model=strict-posix journal_mode=truncate synchronous=extra
-- @redundant "sync main.db-journal #2" if model=strict-posix journal_mode=truncate synchronous=full
-- @redundant "sync main.db-journal #1-2,4" if model=strict-posix journal_mode=persist synchronous=extra
-- @redundant "sync main.db-journal #1-2,4" if model=strict-posix journal_mode=persist synchronous=full
-- @redundant "sync main.db-wal #1,3" if model=strict-posix journal_mode=wal synchronous=extra
-- @redundant "sync main.db-wal #1,3" if model=strict-posix journal_mode=wal synchronous=full
-- @redundant "sync main.db-wal #1" if model=strict-posix journal_mode=wal synchronous=normal
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
BEGIN;
INSERT INTO t VALUES (1, substr(hex(zeroblob(450)) || 1, -900));
INSERT INTO t VALUES (2, substr(hex(zeroblob(450)) || 2, -900));
INSERT INTO t VALUES (3, substr(hex(zeroblob(450)) || 3, -900));
COMMIT;
-- @client writer repeat=3
BEGIN;
UPDATE t SET v = substr(hex(zeroblob(450)) || (100 * :i), -900) WHERE id = 1;
INSERT INTO t(v) VALUES (substr(hex(zeroblob(450)) || (10 * :i), -900));
COMMIT;
