-- @scenario a drive with sectors of 4096 bytes writes a page of SQLite whole: one page needs no journal
-- A view is one row on page 1. The same drive formatted to sectors of 512 bytes (`lba-512`) tears it.
-- @define-model lba-512 fsync-entry=yes sector=512
-- @models nvme-4k lba-512
-- @pragma journal_mode=off synchronous=full
-- @expect durable
-- @expect corrupt if model=lba-512
-- @redundant none if model=nvme-4k
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
-- @client a
CREATE VIEW one AS SELECT * FROM t WHERE id = 1;
CREATE VIEW two AS SELECT * FROM t WHERE id = 2;
DROP VIEW one;
