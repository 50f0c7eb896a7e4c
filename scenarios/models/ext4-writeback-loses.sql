-- @scenario ext4-writeback can show a truncated journal in the next one's blocks, and recovery believes it
-- The size of the new journal survived and its header did not. The header that shows is that of the
-- transaction before: valid, with its own record count and check value. Recovery cuts the database
-- to the length that it names.
-- @models ext4-writeback ext4-ordered strict-posix
-- @pragma journal_mode=truncate synchronous=full
-- @expect durable
-- @expect corrupt if model=ext4-writeback
-- @redundant none if model=ext4-ordered
-- @redundant none if model=strict-posix
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
-- @client a repeat=3
INSERT INTO t(v) VALUES (zeroblob(5000));
