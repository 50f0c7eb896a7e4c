-- @scenario without full syncs a transaction that fits one sector stays whole, with no journal at all; it may be gone
-- A view is one row on page 1, and page 1 is one sector of 4096 bytes. In sectors of 512 bytes
-- (`small-sectors`) the page tears.
-- @define-model small-sectors fsync=lies namespace=ordered sector=512
-- @models apfs-no-fullfsync small-sectors
-- @pragma journal_mode=off synchronous=full
-- @expect consistent
-- @expect corrupt if model=small-sectors
-- @redundant none if model=apfs-no-fullfsync
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v);
-- @client a
CREATE VIEW one AS SELECT * FROM t WHERE id = 1;
CREATE VIEW two AS SELECT * FROM t WHERE id = 2;
DROP VIEW one;
