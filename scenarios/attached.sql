-- @scenario one transaction over two files, held together by a super-journal
-- In WAL mode SQLite promises atomicity for each file only: controls/attached-wal.sql.
-- @models strict-posix process-crash
-- @attach archive archive.db
-- @pragma journal_mode=delete synchronous=extra
-- @require durable
-- @redundant "dirsync db #1,5-7,11-13,17-18" if model=strict-posix
-- @redundant none if model=process-crash
-- @setup
CREATE TABLE main.inbox(n INTEGER PRIMARY KEY, body TEXT);
CREATE TABLE archive.outbox(n INTEGER PRIMARY KEY, body TEXT);
INSERT INTO inbox VALUES (1, 'one'), (2, 'two'), (3, 'three');
-- @client mover repeat=3
BEGIN;
INSERT INTO archive.outbox SELECT n, body FROM main.inbox WHERE n = :i;
DELETE FROM main.inbox WHERE n = :i;
COMMIT;
-- @invariant "each message is in exactly one of the two files"
SELECT n FROM main.inbox WHERE n IN (SELECT n FROM archive.outbox)
UNION ALL
SELECT 0 WHERE (SELECT count(*) FROM main.inbox) + (SELECT count(*) FROM archive.outbox) <> 3;
