-- A transaction over two files, one of each alone, and again one over both. The tables first.
BEGIN;
CREATE TABLE main.job(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE other.note(id INTEGER PRIMARY KEY, job INTEGER);
COMMIT;
BEGIN;
INSERT INTO main.job VALUES (1, 'first');
INSERT INTO other.note VALUES (1, 1);
COMMIT;
INSERT INTO main.job VALUES (2, 'second');
INSERT INTO other.note VALUES (2, 2);
BEGIN;
INSERT INTO main.job VALUES (3, 'third');
INSERT INTO other.note VALUES (3, 3);
COMMIT;
