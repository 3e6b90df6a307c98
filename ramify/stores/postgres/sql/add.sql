-- add: rows and edges, all or nothing. Writes job, payload, edge, mark, lane.

--: plain
WITH jobs AS (
    INSERT INTO ramify.job (id, tree, parent, lane, priority, state, waits)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::int[], %s::text[], %s::int[])
), payloads AS (
    INSERT INTO ramify.payload (job, args, policy, takes)
    SELECT * FROM unnest(%s::text[], %s::bytea[], %s::text[], %s::bool[])
)
SELECT pg_notify(%s, '')

--: plain alone
-- The same for a job by itself, as most come: each array costs the server as much as a row.
WITH jobs AS (
    INSERT INTO ramify.job (id, tree, parent, lane, priority, state, waits) VALUES (%s, %s, %s, %s, %s, %s, %s)
), payloads AS (
    INSERT INTO ramify.payload (job, args, policy, takes) VALUES (%s, %s, %s, %s)
)
SELECT pg_notify(%s, '')

--: job
INSERT INTO ramify.job SELECT * FROM json_populate_recordset(NULL::ramify.job, %s::json)

--: edge
INSERT INTO ramify.edge (after, place, before, kind, asks, slots, verdict)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])

--: mark
INSERT INTO ramify.mark (mark, job) SELECT * FROM unnest(%s::text[], %s::text[])

--: new lane
INSERT INTO ramify.lane (queue, task, slot, units) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING

--: lane
SELECT id FROM ramify.lane WHERE queue = %s AND task IS NOT DISTINCT FROM %s AND slot IS NOT DISTINCT FROM %s AND units = %s

--: lanes
SELECT id, queue, task, slot, units FROM ramify.lane WHERE id = ANY(%s::int[])
