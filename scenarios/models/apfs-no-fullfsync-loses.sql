-- @scenario a plain fsync on macOS orders nothing: a journal that SQLite believes safe can reach the disk after the pages it saves
-- With barriers (F_BARRIERFSYNC) the same program may lose commits and never tears.
-- @models apfs-no-fullfsync apfs-barrier
-- @pragma journal_mode=truncate synchronous=full
-- @expect corrupt
-- @expect consistent if model=apfs-barrier
-- @redundant "defect journal-stays" if model=apfs-barrier
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
-- @client a repeat=2
INSERT INTO t(v) VALUES (zeroblob(5000));
