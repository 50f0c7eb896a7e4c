-- Eight transactions as somebody types them: three of them the schema, and an index, so that pages
-- depend on each other. What must hold stands in ledger_holds.sql.
CREATE TABLE account(id INTEGER PRIMARY KEY, owner TEXT NOT NULL, balance INTEGER NOT NULL);
CREATE TABLE entry(n INTEGER PRIMARY KEY, account INTEGER NOT NULL, amount INTEGER NOT NULL);
CREATE INDEX entry_by_account ON entry(account, amount);
INSERT INTO account VALUES (1, 'ada', 100), (2, 'bob', 100), (3, 'cleo', 100);
BEGIN;
UPDATE account SET balance = balance - 30 WHERE id = 1;
UPDATE account SET balance = balance + 30 WHERE id = 2;
INSERT INTO entry(account, amount) VALUES (1, -30), (2, 30);
COMMIT;
BEGIN IMMEDIATE;
UPDATE account SET balance = balance - 70 WHERE id = 2;
UPDATE account SET balance = balance + 70 WHERE id = 3;
INSERT INTO entry(account, amount) VALUES (2, -70), (3, 70);
COMMIT;
BEGIN;
INSERT INTO entry(account, amount) VALUES (3, -1000);
ROLLBACK;
BEGIN;
UPDATE account SET balance = balance - 5 WHERE id = 3;
UPDATE account SET balance = balance + 5 WHERE id = 1;
INSERT INTO entry(account, amount) VALUES (3, -5), (1, 5);
COMMIT;
BEGIN;
UPDATE account SET balance = balance - 1 WHERE id = 1;
UPDATE account SET balance = balance + 1 WHERE id = 3;
INSERT INTO entry(account, amount) VALUES (1, -1), (3, 1);
COMMIT;
