-- Rows by id and by selection; reads and writes job, and all that belongs to a row when it is forgotten.

--: read
SELECT j.* FROM json_each(?) CROSS JOIN job j ON j.id = value

--: write
UPDATE job SET tree = ?, parent = ?, lane = ?, priority = ?, label = ?, hold = ?, step = ?, state = ?, cancelled = ?,
    waits = ?, bads = ?, attempt = ?, session = ?, due = ?, tries = ?, crashes = ?, losses = ?, grown = ?, fast = ?,
    size = ?, last = ?, barrier = ?, lasts = ?, deadline = ?, started = ?, ended = ?
WHERE id = ?

--: held
SELECT id FROM job WHERE hold = ? ORDER BY id LIMIT ?

--: members
SELECT id FROM job WHERE tree = ? AND parent IS NOT NULL ORDER BY id LIMIT ?

--: unfinished member
SELECT 1 FROM job WHERE tree = ? AND parent IS NOT NULL AND state IN ('held', 'waiting', 'ready', 'running') LIMIT 1

--: edge out of tree
SELECT 1 FROM (SELECT id FROM job WHERE tree = :tree AND parent IS NOT NULL UNION ALL SELECT :tree) p
CROSS JOIN edge e ON e.before = p.id CROSS JOIN job s ON s.id = e.after
WHERE s.tree <> :tree AND NOT (p.id = :tree AND s.state = 'done' AND e.place < 0) LIMIT 1

--: forget edges into
DELETE FROM edge WHERE after IN (SELECT value FROM json_each(?))

--: forget edges out
DELETE FROM edge WHERE (after, place) IN
    (SELECT e.after, e.place FROM json_each(?) CROSS JOIN edge e ON e.before = value)

--: forget payload
DELETE FROM payload WHERE job IN (SELECT value FROM json_each(?))

--: forget result
DELETE FROM result WHERE job IN (SELECT value FROM json_each(?))

--: forget line
DELETE FROM line WHERE job IN (SELECT value FROM json_each(?))

--: forget mark
DELETE FROM mark WHERE job IN (SELECT value FROM json_each(?))

--: forget request
DELETE FROM request WHERE job IN (SELECT value FROM json_each(?))

--: forget work
DELETE FROM work WHERE job IN (SELECT value FROM json_each(?))

--: forget job
DELETE FROM job WHERE id IN (SELECT value FROM json_each(?))
