-- Marks, requests and limits. Reads mark, job; reads and writes request, rule.

--: unfinished
SELECT min(j.id) FROM mark m CROSS JOIN job j ON j.id = m.job
WHERE m.mark = ? AND j.state IN ('held', 'waiting', 'ready', 'running')

--: done since
SELECT j.id FROM mark m CROSS JOIN job j ON j.id = m.job
WHERE m.mark = ? AND j.state = 'done' AND j.ended >= ? ORDER BY j.ended DESC, j.id DESC LIMIT 1

--: keys
SELECT mark, job FROM mark WHERE job IN (SELECT value FROM json_each(?)) AND mark GLOB 'unique/*' ORDER BY job, mark

--: all
SELECT m.mark, m.job FROM mark m CROSS JOIN job j ON j.id = m.job
WHERE m.mark GLOB 'unique/*' AND j.state IN ('held', 'waiting', 'ready', 'running')

--: request
SELECT job FROM request WHERE request = ?

--: keep request
INSERT INTO request (request, job) VALUES (?, ?)

--: limits
SELECT name, n, until FROM rule ORDER BY name

--: set limit
INSERT INTO rule (name, n, until) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET n = excluded.n, until = excluded.until

--: drop limit
DELETE FROM rule WHERE name = ?
