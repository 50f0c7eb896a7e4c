-- @scenario a disk that keeps nothing still cannot tear a number within a sector: it may be old, and it is never wrong
-- Nothing else survives: lying-disk-loses.sql.
-- @models lying-disk
-- @pragma journal_mode=off synchronous=extra
-- @expect consistent
-- @redundant none if model=lying-disk
-- @setup
PRAGMA user_version = 1;
-- @client a repeat=3
PRAGMA user_version = 7;
PRAGMA user_version = 8;
