-- @scenario rollback journals: what each journal mode keeps at each synchronous setting
-- DELETE needs EXTRA to keep its last commit, because FULL does not sync the folder after the
-- journal is deleted: a journal that comes back rolls the commit back. TRUNCATE and PERSIST end a
-- transaction with a synced write to the journal itself. At NORMAL, the journal's record count and
-- its records become durable in one sync, and a record's checksum samples every 200th byte only.
-- @matrix journal_mode=delete,truncate,persist synchronous=extra,full,normal,off
-- @expect durable
-- @expect consistent if journal_mode=delete synchronous=full
-- @expect corrupt if synchronous=normal
-- @expect corrupt if synchronous=off
-- @redundant none if model=strict-posix journal_mode=delete synchronous=extra
-- @redundant none if model=strict-posix journal_mode=delete synchronous=full
-- @redundant none if model=strict-posix journal_mode=truncate synchronous=extra
-- @redundant none if model=strict-posix journal_mode=truncate synchronous=full
-- @redundant "sync main.db-journal #1,4" if model=strict-posix journal_mode=persist synchronous=extra
-- @redundant "sync main.db-journal #1,4" if model=strict-posix journal_mode=persist synchronous=full
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
CREATE INDEX t_v ON t(v);
INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 24)
 SELECT i, printf('%0150d', i) FROM c;
-- @client writer repeat=3
BEGIN;
UPDATE t SET v = printf('%0150d', id + 1000 * :i) WHERE id % 8 = 1;
INSERT INTO t(v) VALUES (printf('%0150d', :i));
COMMIT;
