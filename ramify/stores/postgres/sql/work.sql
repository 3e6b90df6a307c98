-- The worklist, in order of entry. Reads and writes work.

--: first
SELECT job, verb, cursor, origin FROM ramify.work ORDER BY number LIMIT 1

--: find
SELECT job, verb, cursor, origin FROM ramify.work WHERE job = %s AND verb = %s

--: purging
SELECT job FROM ramify.work WHERE verb = 'purge'

--: enlist
INSERT INTO ramify.work (job, verb, cursor, origin) VALUES (%s, %s, %s, %s)
ON CONFLICT (job, verb) DO UPDATE SET cursor = excluded.cursor, origin = excluded.origin

--: advance
UPDATE ramify.work SET cursor = %s WHERE job = %s AND verb = %s

--: delist
DELETE FROM ramify.work WHERE job = %s AND verb = %s

--: count
SELECT count(*) FROM ramify.work

--: all
SELECT job, verb, cursor, origin FROM ramify.work ORDER BY number
