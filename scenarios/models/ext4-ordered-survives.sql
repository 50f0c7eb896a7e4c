-- @scenario ext4-ordered writes new blocks before the size that shows them: a journal in them is new, or it is not there
-- With data=writeback the same program is corrupt: the new journal's blocks show a deleted one.
-- @models ext4-ordered ext4-writeback
-- @pragma journal_mode=delete synchronous=extra
-- @expect durable
-- @expect corrupt if model=ext4-writeback
-- @redundant none if model=ext4-ordered
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
-- @client a repeat=3
INSERT INTO t(v) VALUES (zeroblob(5000));
