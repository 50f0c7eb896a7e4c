-- @scenario money moves between accounts; the sum never changes
-- @matrix journal_mode=wal,delete synchronous=full,extra
-- @require durable
-- @setup
CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
INSERT INTO account VALUES (1, 1000), (2, 1000), (3, 1000), (4, 1000);
CREATE TABLE ledger(client TEXT, n INTEGER, amount INTEGER);
-- @client alice repeat=3
BEGIN;
UPDATE account SET balance = balance - 10 WHERE id = 1;
UPDATE account SET balance = balance + 10 WHERE id = 2;
INSERT INTO ledger VALUES (:client, :i, 10);
COMMIT;
-- @invariant "the sum of all balances is 4000"
SELECT sum(balance) FROM account HAVING sum(balance) <> 4000;
