-- @scenario five transactions, one rolled back, and a checkpoint: the workload of docs/durability-matrix.md
-- @pragma journal_mode=wal synchronous=full
-- @redundant "sync main.db-wal #1,5" if model=strict-posix
-- @setup
CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note TEXT);
CREATE INDEX account_balance ON account(balance);
INSERT INTO account VALUES (1, 100, printf('%0900d', 1)), (2, 100, printf('%0900d', 2)),
 (3, 100, printf('%0900d', 3)), (4, 100, printf('%0900d', 4)), (5, 100, printf('%0900d', 5));
-- @client bank
BEGIN;
UPDATE account SET balance = balance - 10 WHERE id = 1;
UPDATE account SET balance = balance + 10 WHERE id = 5;
COMMIT;
INSERT INTO account VALUES (6, 0, printf('%0900d', 6)), (7, 0, printf('%0900d', 7));
PRAGMA wal_checkpoint;
BEGIN;
UPDATE account SET balance = 0;
ROLLBACK;
UPDATE account SET balance = balance - 5 WHERE id = 2;
BEGIN;
INSERT INTO account VALUES (8, 5, printf('%0900d', 8));
INSERT INTO account VALUES (9, 5, printf('%0900d', 9));
COMMIT;
BEGIN;
UPDATE account SET balance = balance - 1 WHERE id = 4;
UPDATE account SET balance = balance + 1 WHERE id = 7;
COMMIT;
