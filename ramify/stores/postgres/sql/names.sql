-- Marks, requests and limits. Reads mark, job; reads and writes request, rule. A job that is found stays as it is found.

--: unfinished
SELECT j.id FROM ramify.mark m JOIN ramify.job j ON j.id = ANY(ARRAY[m.job])
WHERE m.mark = %s AND j.state IN ('held', 'waiting', 'ready', 'running') ORDER BY j.id || '' LIMIT 1 FOR SHARE OF j

--: done since
SELECT j.id FROM ramify.mark m JOIN ramify.job j ON j.id = ANY(ARRAY[m.job])
WHERE m.mark = %s AND j.state = 'done' AND j.ended >= %s ORDER BY j.ended DESC, j.id DESC LIMIT 1 FOR SHARE OF j

--: keys
SELECT mark, job FROM ramify.mark WHERE job = ANY(%s::text[]) AND starts_with(mark, 'unique/') ORDER BY job, mark

--: all
SELECT m.mark, m.job FROM ramify.mark m JOIN ramify.job j ON j.id = m.job
WHERE starts_with(m.mark, 'unique/') AND j.state IN ('held', 'waiting', 'ready', 'running')

--: request
SELECT job FROM ramify.request WHERE request = %s

--: keep request
INSERT INTO ramify.request (request, job) VALUES (%s, %s)

--: limits
SELECT name, n, until FROM ramify.rule ORDER BY name

--: set limit
INSERT INTO ramify.rule (name, n, until) VALUES (%s, %s, %s)
ON CONFLICT (name) DO UPDATE SET n = excluded.n, until = excluded.until

--: drop limit
DELETE FROM ramify.rule WHERE name = %s
