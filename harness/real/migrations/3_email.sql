-- migrate:up
ALTER TABLE customer ADD COLUMN email TEXT;
UPDATE customer SET email = name || '@example.org';

-- migrate:down
ALTER TABLE customer DROP COLUMN email;
