-- @scenario one transaction over two WAL files is atomic for each file only
-- By design: https://www.sqlite.org/wal.html ("atomic for each individual database, but not across
-- all databases as a set").
-- @attach archive archive.db
-- @pragma journal_mode=wal synchronous=full
-- @expect torn
-- @redundant "dirsync db #1" "sync archive.db-wal #1" "sync main.db-wal #1" if model=strict-posix
-- @setup
CREATE TABLE main.inbox(n INTEGER PRIMARY KEY, body TEXT);
CREATE TABLE archive.outbox(n INTEGER PRIMARY KEY, body TEXT);
INSERT INTO inbox VALUES (1, 'one'), (2, 'two'), (3, 'three');
-- @client mover repeat=3
BEGIN;
INSERT INTO archive.outbox SELECT n, body FROM main.inbox WHERE n = :i;
DELETE FROM main.inbox WHERE n = :i;
COMMIT;
