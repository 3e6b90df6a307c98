-- Rows by id; reads, locks and writes job, and all that belongs to a row when it is forgotten. Locks are taken in order
-- of id, so that two steps that want the same rows wait for each other in one direction.

--: lock
SELECT * FROM ramify.job WHERE id = ANY(%s::text[]) ORDER BY id FOR NO KEY UPDATE

--: share
SELECT * FROM ramify.job WHERE id = ANY(%s::text[]) ORDER BY id FOR SHARE

--: keep trees
SELECT 1 FROM ramify.job WHERE id = ANY(ARRAY(SELECT tree FROM ramify.job WHERE id = ANY(%s::text[])))
ORDER BY id FOR KEY SHARE

--: write
UPDATE ramify.job j SET tree = r.tree, parent = r.parent, lane = r.lane, priority = r.priority, label = r.label,
    hold = r.hold, step = r.step, state = r.state, cancelled = r.cancelled, waits = r.waits, bads = r.bads,
    attempt = r.attempt, session = r.session, due = r.due, tries = r.tries, crashes = r.crashes, losses = r.losses,
    grown = r.grown, fast = r.fast, size = r.size, last = r.last, barrier = r.barrier, lasts = r.lasts,
    deadline = r.deadline, started = r.started, ended = r.ended
FROM (SELECT * FROM json_populate_recordset(NULL::ramify.job, %s::json) ORDER BY id) r
WHERE j.id = ANY(ARRAY[r.id])

--: held
SELECT id FROM ramify.job WHERE hold = %s ORDER BY id LIMIT %s

--: members
SELECT id FROM ramify.job WHERE tree = %s AND parent IS NOT NULL ORDER BY id LIMIT %s

--: root
SELECT 1 FROM ramify.job WHERE id = %s FOR UPDATE

--: over
SELECT NOT EXISTS (SELECT 1 FROM ramify.job WHERE tree = %(tree)s AND parent IS NOT NULL
        AND state IN ('held', 'waiting', 'ready', 'running'))
    AND NOT EXISTS (SELECT 1
        FROM (SELECT id FROM ramify.job WHERE tree = %(tree)s AND parent IS NOT NULL UNION ALL SELECT %(tree)s) AS p
        CROSS JOIN LATERAL (SELECT e.after, e.place FROM ramify.edge e WHERE e.before = p.id OFFSET 0) AS e
        CROSS JOIN LATERAL (SELECT s.tree, s.state FROM ramify.job s WHERE s.id = e.after OFFSET 0) AS s
        WHERE s.tree <> %(tree)s AND NOT (p.id = %(tree)s AND s.state = 'done' AND e.place < 0))

--: forget edges into
DELETE FROM ramify.edge WHERE after = ANY(%s::text[])

--: forget edges out
DELETE FROM ramify.edge WHERE before = ANY(%s::text[])

--: forget payload
DELETE FROM ramify.payload WHERE job = ANY(%s::text[])

--: forget result
DELETE FROM ramify.result WHERE job = ANY(%s::text[])

--: forget line
DELETE FROM ramify.line WHERE job = ANY(%s::text[])

--: forget mark
DELETE FROM ramify.mark WHERE job = ANY(%s::text[])

--: forget request
DELETE FROM ramify.request WHERE job = ANY(%s::text[])

--: forget work
DELETE FROM ramify.work WHERE job = ANY(%s::text[])

--: forget job
DELETE FROM ramify.job WHERE id = ANY(%s::text[])
