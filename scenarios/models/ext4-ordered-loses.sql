-- @scenario ext4-ordered orders data behind a new size only: what is written again, or inside a block, is in no order
-- One sync at NORMAL for the journal's record count and its records. With data=journal every byte
-- goes through ext4's journal, in order (`data-journal`), and that is enough.
-- @define-model data-journal reorder=none
-- @models ext4-ordered data-journal
-- @matrix journal_mode=delete,persist
-- @pragma synchronous=normal
-- @expect corrupt
-- @expect consistent if model=data-journal journal_mode=delete
-- @expect durable if model=data-journal journal_mode=persist
-- @redundant "sync main.db #1-3" "sync main.db-journal #1" if model=data-journal journal_mode=delete model.reorder=none
-- @redundant "sync main.db #1-3" "sync main.db-journal #1,3,5" if model=data-journal journal_mode=persist model.reorder=none
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
-- @client a repeat=3
INSERT INTO t(v) VALUES (zeroblob(5000));
