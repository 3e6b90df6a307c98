-- end: fence and outcome in one statement. Writes job and result. The unary plus keeps the planner from walking all
-- running jobs for each reported one: the report leads, the row is found by id.

--: end
UPDATE job SET state = ?, session = NULL, ended = ?
WHERE id IN (SELECT value FROM json_each(?)) AND attempt = ? AND +session = ? AND +state = 'running'
RETURNING id, attempt, lasts, cancelled

--: no deadline
UPDATE job SET deadline = NULL WHERE id = ?

--: result
INSERT INTO result (job, value, spread, failure) VALUES (?, ?, ?, ?)
ON CONFLICT (job) DO UPDATE SET value = coalesce(excluded.value, value), failure = excluded.failure,
    spread = CASE WHEN excluded.value IS NULL THEN spread ELSE excluded.spread END

--: value
INSERT INTO result (job, value, spread) VALUES (?, ?, ?)
ON CONFLICT (job) DO UPDATE SET value = excluded.value, spread = excluded.spread

--: failure
INSERT INTO result (job, failure) VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET failure = excluded.failure

--: no failure
UPDATE result SET failure = NULL WHERE job = ?

--: progress
INSERT INTO result (job, percent, status) SELECT id, ?, ? FROM job WHERE id = ? AND session = ?
ON CONFLICT (job) DO UPDATE SET percent = excluded.percent, status = excluded.status

--: read
SELECT j.id, r.value, r.spread, r.failure, r.percent, r.status
FROM json_each(?) CROSS JOIN job j ON j.id = json_each.value LEFT JOIN result r ON r.job = j.id ORDER BY j.id
