-- claim: what may start, in order, and its start. Reads job and payload; writes job. Rows that another claim holds are
-- passed over; what is found is ours until the step ends.

--: ready
-- What can only be ended, the first job that can run in each lane, and when the next scheduled job is due.
SELECT ARRAY(SELECT tree || id FROM ramify.job WHERE state = 'ready' AND (step = 'end' OR bads > 0)
        ORDER BY tree, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED),
    ARRAY(SELECT concat_ws(' ', l.id, r.priority, r.tree, r.id) FROM ramify.lane l CROSS JOIN LATERAL (
        SELECT j.priority, j.tree, j.id FROM ramify.job j
        WHERE j.lane = l.id AND j.state = 'ready' AND j.step = 'run' AND j.bads = 0 AND j.due IS NULL
        ORDER BY j.priority DESC, j.tree, j.id LIMIT 1) r),
    (SELECT min(due) FROM ramify.job WHERE due IS NOT NULL AND state = 'ready' AND step = 'run' AND bads = 0)

--: ready from
-- The same, from where these began of late: what is dead in front of that, and cannot be cleaned up, is not walked over.
SELECT ARRAY(SELECT tree || id FROM ramify.job WHERE state = 'ready' AND (step = 'end' OR bads > 0)
        AND (tree, id) >= (%s, %s) ORDER BY tree, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED),
    ARRAY(SELECT concat_ws(' ', l.id, l.priority, r.tree, r.id)
        FROM unnest(%s::int[], %s::int[], %s::text[], %s::text[]) AS l (id, priority, tree, job) CROSS JOIN LATERAL (
            SELECT j.tree, j.id FROM ramify.job j
            WHERE j.lane = l.id AND j.priority = l.priority AND (j.tree, j.id) >= (l.tree, l.job)
                AND j.state = 'ready' AND j.step = 'run' AND j.bads = 0 AND j.due IS NULL
            ORDER BY j.tree, j.id LIMIT 1) r),
    (SELECT min(due) FROM ramify.job
        WHERE due >= %s AND due IS NOT NULL AND state = 'ready' AND step = 'run' AND bads = 0)

--: dead
SELECT pg_stat_get_dead_tuples(to_regclass(%s))

--: lane
SELECT -priority, tree, id FROM ramify.job
WHERE lane = %s AND state = 'ready' AND step = 'run' AND bads = 0 AND due IS NULL
ORDER BY priority DESC, tree, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED

--: lane from
SELECT -priority, tree, id FROM ramify.job
WHERE lane = %s AND state = 'ready' AND step = 'run' AND bads = 0 AND due IS NULL AND priority = %s AND (tree, id) >= (%s, %s)
ORDER BY tree, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED

--: running
SELECT lane, count(*) FROM ramify.job WHERE state = 'running' AND step = 'run' AND bads = 0 GROUP BY lane

--: running on
SELECT -j.priority, j.tree, j.id, j.lane FROM ramify.session s JOIN ramify.job j ON j.session = s.id
WHERE s.about::json ->> 'host' = %s AND j.state = 'running' AND j.step = 'run' AND j.bads = 0

--: start
WITH started AS (
    UPDATE ramify.job SET state = 'running', session = %s, attempt = attempt + 1,
        started = CASE WHEN step = 'run' AND bads = 0 THEN %s ELSE started END
    WHERE id = ANY(%s::text[])
    RETURNING *
)
SELECT p.args, p.policy, p.takes, s.* FROM started s
LEFT JOIN LATERAL (SELECT * FROM ramify.payload p WHERE p.job = s.id OFFSET 0) AS p ON true

--: start in
-- By place in the table: what was locked in a statement cannot have moved within it.
WITH started AS (
    UPDATE ramify.job SET state = 'running', session = %s, attempt = attempt + 1, started = %s
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM ramify.job
        WHERE lane = %s AND state = 'ready' AND step = 'run' AND bads = 0 AND due IS NULL
        ORDER BY priority DESC, tree, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED))
    RETURNING *
)
SELECT p.args, p.policy, p.takes, s.* FROM started s
LEFT JOIN LATERAL (SELECT * FROM ramify.payload p WHERE p.job = s.id OFFSET 0) AS p ON true

--: start in from
WITH started AS (
    UPDATE ramify.job SET state = 'running', session = %s, attempt = attempt + 1, started = %s
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM ramify.job
        WHERE lane = %s AND state = 'ready' AND step = 'run' AND bads = 0 AND due IS NULL
            AND priority = %s AND (tree, id) >= (%s, %s)
        ORDER BY tree, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED))
    RETURNING *
)
SELECT p.args, p.policy, p.takes, s.* FROM started s
LEFT JOIN LATERAL (SELECT * FROM ramify.payload p WHERE p.job = s.id OFFSET 0) AS p ON true

--: adopt
WITH adopted AS (UPDATE ramify.job SET session = %s WHERE id = ANY(%s::text[]) RETURNING *)
SELECT p.args, p.policy, p.takes, a.* FROM adopted a
LEFT JOIN LATERAL (SELECT * FROM ramify.payload p WHERE p.job = a.id OFFSET 0) AS p ON true

--: due
UPDATE ramify.job SET due = NULL WHERE id = ANY(ARRAY(
    SELECT id FROM ramify.job WHERE due IS NOT NULL AND due <= %s AND state = 'ready' AND step = 'run' AND bads = 0
    ORDER BY due, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED))
