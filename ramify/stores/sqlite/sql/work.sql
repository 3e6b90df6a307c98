-- The worklist, in order of entry. Reads and writes work.

--: first
SELECT job, verb, cursor, origin FROM work ORDER BY number LIMIT 1

--: find
SELECT job, verb, cursor, origin FROM work WHERE job = ? AND verb = ?

--: purging
SELECT job FROM work WHERE verb = 'purge'

--: enlist
INSERT INTO work (job, verb, cursor, origin) VALUES (?, ?, ?, ?)
ON CONFLICT (job, verb) DO UPDATE SET cursor = excluded.cursor, origin = excluded.origin

--: advance
UPDATE work SET cursor = ? WHERE job = ? AND verb = ?

--: delist
DELETE FROM work WHERE job = ? AND verb = ?

--: all
SELECT job, verb, cursor, origin FROM work ORDER BY number

--: count
SELECT count(*) FROM work
