-- migrate:up
CREATE TABLE purchase(id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer, cents INTEGER);
INSERT INTO customer(name) VALUES ('ada'), ('bob'), ('cleo');
INSERT INTO purchase(customer, cents) VALUES (1, 1200), (2, 340);

-- migrate:down
DROP TABLE purchase;
