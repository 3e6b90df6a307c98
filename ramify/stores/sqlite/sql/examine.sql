-- examine: what could not be read, or belongs to nobody. Each statement gives jobs and what is wrong with them. Reads all.

--: words of jobs
SELECT id, 'its columns say what no job can be: state ' || state || ', step ' || step FROM job
WHERE state NOT IN ('held', 'waiting', 'ready', 'running', 'done', 'failed', 'cancelled', 'skipped')
    OR step NOT IN ('run', 'end') LIMIT ?

--: words of edges
SELECT after, 'its edge from ' || before || ' says what no edge can: ' || kind || ', ' || asks
    || ', ' || coalesce(verdict, 'open') FROM edge
WHERE kind NOT IN ('child', 'after') OR asks NOT IN ('done', 'ended', 'failed') OR verdict NOT IN
    ('held', 'waiting', 'ready', 'running', 'done', 'failed', 'cancelled', 'skipped') LIMIT ?

--: slots of edges
SELECT after, 'its edge from ' || before || ' fills places that are not JSON' FROM edge
WHERE slots IS NOT NULL AND NOT json_valid(slots) LIMIT ?

--: words of the worklist
SELECT job, 'the worklist would ' || verb || ' it, which nobody can' FROM work
WHERE verb NOT IN ('spread', 'cancel', 'hold', 'release', 'retry', 'purge') LIMIT ?

--: lanes
SELECT id, 'its lane ' || lane || ' is not stored' FROM job
WHERE NOT EXISTS (SELECT 1 FROM lane WHERE lane.id = job.lane) LIMIT ?

--: arguments
SELECT j.id, CASE WHEN p.job IS NULL THEN 'its arguments are gone' ELSE 'its arguments are not JSON' END
FROM job j JOIN lane l ON l.id = j.lane LEFT JOIN payload p ON p.job = j.id
WHERE l.task IS NOT NULL AND (p.job IS NULL OR NOT json_valid(CAST(p.args AS TEXT))
    OR (p.policy IS NOT NULL AND NOT json_valid(p.policy))) LIMIT ?

--: tries
SELECT j.id, 'is to run again after ' || j.tries || ' tries that failed, of which its policy allows fewer'
FROM job j LEFT JOIN payload p ON p.job = j.id
WHERE j.ended IS NULL AND j.tries > 0 AND (p.policy IS NULL OR json_valid(p.policy))
    AND j.tries > coalesce(json_extract(p.policy, '$.retry.times'), 0) LIMIT ?

--: failures
SELECT job, 'its failure is not JSON' FROM result WHERE failure IS NOT NULL AND NOT json_valid(failure) LIMIT ?

--: arguments of nobody
SELECT job, 'its arguments are stored, but it is not' FROM payload p
WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = p.job) LIMIT ?

--: results of nobody
SELECT job, 'its result is stored, but it is not' FROM result r
WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = r.job) LIMIT ?

--: marks of nobody
SELECT job, 'it has the mark ' || mark || ', but is not stored' FROM mark m
WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = m.job) LIMIT ?

--: ticks
SELECT min(job), 'its tick ' || mark || ' has ' || count(*) || ' jobs' FROM mark
WHERE mark GLOB 'cron/*' GROUP BY mark HAVING count(*) > 1 LIMIT ?

--: requests of nobody
SELECT job, 'it answers the request ' || request || ', but is not stored' FROM request r
WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = r.job) LIMIT ?
