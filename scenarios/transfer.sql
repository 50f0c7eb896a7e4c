-- @scenario money moves between accounts, and no crash makes or destroys any
-- @models strict-posix process-crash
-- @matrix journal_mode=wal,delete
-- @pragma synchronous=extra cache_size=10 wal_autocheckpoint=6
-- @require durable
-- @redundant "sync main.db-wal #1,3,5,7,9,11,13" if model=strict-posix journal_mode=wal
-- @redundant none if model=strict-posix journal_mode=delete
-- @redundant none if model=process-crash journal_mode=wal
-- @redundant none if model=process-crash journal_mode=delete
-- @setup
CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0));
INSERT INTO account VALUES (1, 1000), (2, 1000), (3, 1000), (4, 1000);
CREATE TABLE ledger(n INTEGER PRIMARY KEY, client TEXT, source INTEGER, target INTEGER,
                    amount INTEGER NOT NULL);
CREATE INDEX ledger_by_target ON ledger(target, amount);
-- @client alice repeat=4
BEGIN IMMEDIATE;
INSERT INTO ledger(client, source, target, amount) VALUES (:client, 1, 2, 1 + :r % 90);
UPDATE account SET balance = balance - (SELECT amount FROM ledger ORDER BY n DESC LIMIT 1)
 WHERE id = (SELECT source FROM ledger ORDER BY n DESC LIMIT 1);
UPDATE account SET balance = balance + (SELECT amount FROM ledger ORDER BY n DESC LIMIT 1)
 WHERE id = (SELECT target FROM ledger ORDER BY n DESC LIMIT 1);
COMMIT;
-- @client bob repeat=3
BEGIN IMMEDIATE;
INSERT INTO ledger(client, source, target, amount) VALUES (:client, 3, 1, 1 + :r % 90);
UPDATE account SET balance = balance - (SELECT amount FROM ledger ORDER BY n DESC LIMIT 1)
 WHERE id = (SELECT source FROM ledger ORDER BY n DESC LIMIT 1);
UPDATE account SET balance = balance + (SELECT amount FROM ledger ORDER BY n DESC LIMIT 1)
 WHERE id = (SELECT target FROM ledger ORDER BY n DESC LIMIT 1);
COMMIT;
-- @order ledger n
-- @invariant "the balances add up to 4000"
SELECT sum(balance) FROM account HAVING sum(balance) <> 4000;
-- @invariant "every balance is what the ledger says"
SELECT id FROM account a
 WHERE balance <> 1000 + (SELECT coalesce(sum(amount), 0) FROM ledger WHERE target = a.id)
                       - (SELECT coalesce(sum(amount), 0) FROM ledger WHERE source = a.id);
