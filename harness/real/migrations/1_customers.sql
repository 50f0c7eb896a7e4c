-- migrate:up
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE INDEX customer_by_name ON customer(name);

-- migrate:down
DROP TABLE customer;
