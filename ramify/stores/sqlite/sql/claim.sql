-- claim: what may start, in order, and its start. Reads job, payload and edge; writes job.

--: ends
SELECT id FROM job WHERE state = 'ready' AND (step = 'end' OR bads > 0) ORDER BY tree, id LIMIT ?

--: lane
SELECT -priority, tree, id FROM job
WHERE lane = ? AND state = 'ready' AND step = 'run' AND bads = 0 AND due IS NULL
ORDER BY priority DESC, tree, id LIMIT ?

--: running
SELECT lane, count(*) FROM job WHERE state = 'running' AND step = 'run' AND bads = 0 GROUP BY lane

--: running on
SELECT -j.priority, j.tree, j.id, j.lane
FROM session s CROSS JOIN job j ON j.session = s.id AND j.state = 'running'
WHERE json_extract(s.about, '$.host') = ? AND j.step = 'run' AND j.bads = 0

--: start
UPDATE job SET state = 'running', session = ?, attempt = attempt + 1,
    started = CASE WHEN step = 'run' AND bads = 0 THEN ? ELSE started END
WHERE id IN (SELECT value FROM json_each(?))

--: read
SELECT p.args, p.policy, p.takes, j.* FROM json_each(?) CROSS JOIN job j ON j.id = value
LEFT JOIN payload p ON p.job = j.id ORDER BY json_each.key

--: due
UPDATE job SET due = NULL WHERE id IN
    (SELECT id FROM job WHERE due IS NOT NULL AND due <= ? AND state = 'ready' AND step = 'run' AND bads = 0
     ORDER BY due, id LIMIT ?)

--: next due
SELECT due FROM job WHERE due IS NOT NULL AND state = 'ready' AND step = 'run' AND bads = 0 ORDER BY due LIMIT 1
