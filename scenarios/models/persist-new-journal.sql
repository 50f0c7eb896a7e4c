-- @scenario PERSIST survives old blocks only because its journal is there already: a new one can show another database's
-- docs/findings.md, 15. The journal of `other` was deleted; where new blocks show old data, the first
-- journal of `main` shows its header, and recovery cuts `main` to the length of `other`.
-- @models ext4-writeback strict-posix
-- @attach other other.db
-- @pragma synchronous=extra
-- @expect durable
-- @expect corrupt if model=ext4-writeback
-- @redundant "dirsync db #1" "sync other.db-journal #2" if model=strict-posix
-- @setup
CREATE TABLE main.t(id INTEGER PRIMARY KEY, v BLOB);
INSERT INTO t(v) VALUES (zeroblob(9000));
CREATE TABLE other.u(id INTEGER PRIMARY KEY, v BLOB);
-- @client a
PRAGMA main.journal_mode=persist;
PRAGMA other.journal_mode=delete;
INSERT INTO other.u(v) VALUES (1);
INSERT INTO main.t(v) VALUES (zeroblob(5000));
