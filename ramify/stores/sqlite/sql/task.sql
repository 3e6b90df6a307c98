-- Tasks as they were declared, and clocks. Reads and writes task and clock; what forgets everything lists all tables.

--: all
SELECT about FROM task ORDER BY name

--: these
SELECT about FROM task WHERE name IN (SELECT value FROM json_each(?)) ORDER BY name

--: keep
INSERT INTO task (name, about) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET about = excluded.about

--: forget
DELETE FROM task WHERE name IN (SELECT value FROM json_each(?))

--: clocks
SELECT name, at FROM clock ORDER BY name

--: set clock
INSERT INTO clock (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at

--: tables
SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name
