-- Sessions: their leases and what runs in them. Reads and writes session and job.

--: open
INSERT INTO session (id, about, boot, lease) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET lease = excluded.lease, dead = 0

--: renew
UPDATE session SET lease = ? WHERE id = ? AND dead = 0

--: alive
SELECT 1 FROM session WHERE id = ? AND dead = 0

--: all
SELECT id, about, boot, lease, dead FROM session ORDER BY id

--: bury
UPDATE session SET dead = 1 WHERE id = ?

--: orphans
SELECT j.id FROM session s CROSS JOIN job j ON j.session = s.id AND j.state = 'running'
WHERE s.dead = 1 ORDER BY j.id LIMIT ?

--: adopt
UPDATE job SET session = ? WHERE id IN (SELECT value FROM json_each(?))

--: forget
DELETE FROM session WHERE dead = 1
    AND NOT EXISTS (SELECT 1 FROM job WHERE job.session = session.id AND job.state = 'running')

--: cancels
SELECT id FROM job WHERE session = ? AND state = 'running' AND cancelled = 1 ORDER BY id

--: overdue
SELECT id FROM job WHERE deadline IS NOT NULL AND deadline <= ? ORDER BY id LIMIT ?
