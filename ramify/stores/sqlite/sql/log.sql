-- log: what running jobs say. Reads job; reads and writes line.

--: ours
SELECT j.id, coalesce((SELECT max(number) FROM line WHERE job = j.id), 0)
FROM json_each(?) CROSS JOIN job j ON j.id = json_each.value WHERE j.session = ? AND j.state = 'running'

--: append
INSERT INTO line (job, number, stream, text) VALUES (?, ?, ?, ?)

--: cut
DELETE FROM line WHERE job = ? AND number <= ?

--: read
SELECT job, text, stream, number FROM line WHERE job = ? AND number > ? ORDER BY number LIMIT ?
