-- @scenario what each journal mode keeps at each level of synchronous, on each disk: the tables of docs/findings.md
-- Three transactions on two pages, the second of which splits one; in WAL mode one checkpoint on the
-- way and one at the end. All presets: --model with their names, as harness/cli/test/models_test.py
-- does.
-- @matrix journal_mode=delete,truncate,persist,memory,off,wal synchronous=extra,full,normal,off
-- @pragma wal_autocheckpoint=5
-- @expect durable
-- @expect consistent if journal_mode=delete synchronous=full
-- @expect consistent if synchronous=normal
-- @expect consistent if model=legacy-512-nopsow journal_mode=wal
-- @expect consistent if model=apfs-barrier
-- @expect corrupt if model=ext4-writeback journal_mode=delete
-- @expect corrupt if model=ext4-writeback journal_mode=truncate
-- @expect corrupt if journal_mode=delete synchronous=normal
-- @expect corrupt if journal_mode=truncate synchronous=normal
-- @expect corrupt if journal_mode=persist synchronous=normal
-- @expect corrupt if synchronous=off
-- @expect corrupt if model=lying-disk
-- @expect corrupt if model=apfs-no-fullfsync
-- @expect durable if model=process-crash
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
INSERT INTO t VALUES (1, printf('%0900d', 1)), (2, printf('%0900d', 2)), (3, printf('%0900d', 3));
-- @client writer repeat=3
BEGIN;
UPDATE t SET v = printf('%0900d', 100 * :i) WHERE id = 1;
INSERT INTO t(v) VALUES (printf('%0900d', 10 * :i));
COMMIT;
