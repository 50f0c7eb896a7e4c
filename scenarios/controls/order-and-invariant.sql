-- @scenario two transactions that should be one: the oracles for order and invariants object
-- In between, a number is missing and the balance is wrong; every commit is there, whole.
-- @pragma journal_mode=wal synchronous=full
-- @expect corrupt
-- @setup
CREATE TABLE ledger(n INTEGER PRIMARY KEY, amount INTEGER NOT NULL);
INSERT INTO ledger VALUES (1, 5), (2, -5);
-- @client teller
INSERT INTO ledger VALUES (4, -7);
INSERT INTO ledger VALUES (3, 7);
-- @order ledger n
-- @invariant "the ledger is balanced"
SELECT sum(amount) FROM ledger HAVING sum(amount) <> 0;
