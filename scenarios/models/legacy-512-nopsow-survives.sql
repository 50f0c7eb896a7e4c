-- @scenario a rollback journal survives a disk that damages sectors and shows garbage, as long as no page shares its sector
-- The journal's header has a sector of its own, its records are checked, and a page is whole sectors.
-- With sectors of 4096 bytes (`large-sectors`) a page of 1024 shares one with three others, and SQLite,
-- told that overwriting is safe, did not save those.
-- @define-model large-sectors psow=no hole=garbage sector=4096
-- @models legacy-512-nopsow large-sectors
-- @pragma journal_mode=truncate synchronous=full page_size=1024
-- @expect durable
-- @expect corrupt if model=large-sectors
-- @redundant "sync main.db-journal #2,5" if model=legacy-512-nopsow
-- @setup
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
INSERT INTO t(v) VALUES (zeroblob(3000));
-- @client a repeat=2
INSERT INTO t(v) VALUES (:i);
