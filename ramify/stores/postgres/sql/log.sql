-- log: what running jobs say. Reads job, whose row is kept as it is meanwhile; reads and writes line.

--: ours
SELECT j.id, coalesce((SELECT max(number) FROM ramify.line WHERE job = j.id), 0) FROM ramify.job j
WHERE j.id = ANY(%s::text[]) AND j.session = %s AND j.state = 'running' ORDER BY j.id FOR SHARE

--: append
INSERT INTO ramify.line (job, number, stream, text)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[])

--: cut
DELETE FROM ramify.line WHERE job = %s AND number <= %s

--: read
SELECT job, text, stream, number FROM ramify.line WHERE job = %s AND number > %s ORDER BY number LIMIT %s
