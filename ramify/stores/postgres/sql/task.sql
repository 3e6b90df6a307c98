-- Tasks as they were declared, and clocks. Reads and writes task and clock; what forgets everything names all tables but
-- lane, whose numbers other programs remember.

--: all
SELECT about FROM ramify.task ORDER BY name

--: these
SELECT about FROM ramify.task WHERE name = ANY(%s::text[]) ORDER BY name

--: keep
INSERT INTO ramify.task (name, about) SELECT * FROM unnest(%s::text[], %s::text[])
ON CONFLICT (name) DO UPDATE SET about = excluded.about

--: forget
DELETE FROM ramify.task WHERE name = ANY(%s::text[])

--: clocks
SELECT name, at FROM ramify.clock ORDER BY name

--: set clock
INSERT INTO ramify.clock (name, at) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET at = excluded.at

--: reset
TRUNCATE ramify.job, ramify.payload, ramify.result, ramify.line, ramify.edge, ramify.mark, ramify.request,
    ramify.work, ramify.session, ramify.rule, ramify.task, ramify.clock
