-- @scenario a journal in memory dies with its process: between the writes of two pages nobody can undo the first
-- A crash of the processes leaves fewer states than any power loss, so what it breaks is broken
-- everywhere. The journal on disk, at the same settings, makes the difference.
-- @models process-crash
-- @matrix journal_mode=memory,off,truncate
-- @pragma synchronous=off
-- @expect corrupt
-- @expect durable if journal_mode=truncate
-- @redundant none if model=process-crash journal_mode=truncate
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
-- @client a repeat=2
INSERT INTO t(v) VALUES (zeroblob(5000));
