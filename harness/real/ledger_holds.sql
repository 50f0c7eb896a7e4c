-- @invariant "the balances add up to 300"
SELECT sum(balance) FROM account HAVING sum(balance) <> 300;
-- @invariant "every balance is what the entries say"
SELECT id FROM account WHERE balance <> 100 + (SELECT coalesce(sum(amount), 0) FROM entry WHERE account = id);
