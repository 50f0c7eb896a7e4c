-- Four transactions upon what ledger.sql made; several shells may run this after or beside each other.
UPDATE account SET owner = owner || '.' WHERE id = 1;
BEGIN IMMEDIATE;
UPDATE account SET balance = balance - 2 WHERE id = 1;
UPDATE account SET balance = balance + 2 WHERE id = 2;
INSERT INTO entry(account, amount) VALUES (1, -2), (2, 2);
COMMIT;
BEGIN IMMEDIATE;
UPDATE account SET balance = balance - 3 WHERE id = 2;
UPDATE account SET balance = balance + 3 WHERE id = 3;
INSERT INTO entry(account, amount) VALUES (2, -3), (3, 3);
COMMIT;
UPDATE account SET owner = owner || '.' WHERE id = 1;
