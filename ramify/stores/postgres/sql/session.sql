-- Sessions: their leases and what runs in them. Reads and writes session and job. `id || ''` is an order that no index
-- has: a plan that was made while `job` was empty does not walk over all of it to save a sort.

--: open
INSERT INTO ramify.session (id, about, lease) VALUES (%s, %s, %s)
ON CONFLICT (id) DO UPDATE SET lease = excluded.lease, dead = false

--: renew
UPDATE ramify.session SET lease = %s WHERE id = %s AND NOT dead RETURNING 1

--: all
SELECT id, about, dead, lease FROM ramify.session ORDER BY id

--: bury
UPDATE ramify.session SET dead = true WHERE id = %s

--: bury late
UPDATE ramify.session SET dead = true WHERE id = ANY(ARRAY(
    SELECT id FROM ramify.session WHERE NOT dead AND lease < %s ORDER BY id FOR NO KEY UPDATE SKIP LOCKED))

--: orphans
SELECT j.id FROM ramify.session s JOIN ramify.job j ON j.session = ANY(ARRAY[s.id])
WHERE s.dead AND j.state = 'running' ORDER BY j.id || '' LIMIT %s FOR NO KEY UPDATE OF j SKIP LOCKED

--: unknown orphans
-- Also jobs of a session that is not known any more: it may have been forgotten while it claimed its last ones.
SELECT j.id FROM ramify.job j WHERE j.state = 'running'
    AND NOT EXISTS (SELECT 1 FROM ramify.session s WHERE s.id = j.session AND NOT s.dead)
ORDER BY j.id || '' LIMIT %s FOR NO KEY UPDATE SKIP LOCKED

--: forget
DELETE FROM ramify.session s WHERE s.dead
    AND NOT EXISTS (SELECT 1 FROM ramify.job j WHERE j.session = s.id AND j.state = 'running')

--: cancels
SELECT id FROM ramify.job WHERE session = %s AND state = 'running' AND cancelled ORDER BY id

--: overdue
SELECT id FROM ramify.job WHERE deadline IS NOT NULL AND deadline <= %s ORDER BY id || '' LIMIT %s
