-- examine: what could not be read, or belongs to nobody. Each statement gives jobs and the words for what is wrong with
-- them (stores/damage.py), some also texts, second, that may be damaged. Reads all.

--: words of jobs
SELECT id, state, step FROM job
WHERE state NOT IN ('held', 'waiting', 'ready', 'running', 'done', 'failed', 'cancelled', 'skipped')
    OR step NOT IN ('run', 'end') LIMIT 20

--: words of edges
SELECT after, before, kind, asks, coalesce(verdict, 'open') FROM edge
WHERE kind NOT IN ('child', 'after') OR asks NOT IN ('done', 'ended', 'failed') OR verdict NOT IN
    ('held', 'waiting', 'ready', 'running', 'done', 'failed', 'cancelled', 'skipped') LIMIT 20

--: words of the worklist
SELECT job, verb FROM work WHERE verb NOT IN ('spread', 'cancel', 'hold', 'release', 'retry', 'purge') LIMIT 20

--: lanes
SELECT id, lane FROM job WHERE NOT EXISTS (SELECT 1 FROM lane WHERE lane.id = job.lane) LIMIT 20

--: slots
SELECT after, slots, before FROM edge WHERE slots IS NOT NULL

--: failures
SELECT job, failure FROM result WHERE failure IS NOT NULL

--: arguments
SELECT job, args FROM payload

--: policies
SELECT min(job), policy FROM payload WHERE policy IS NOT NULL GROUP BY policy

--: no arguments
SELECT j.id FROM job j JOIN lane l ON l.id = j.lane
WHERE l.task IS NOT NULL AND NOT EXISTS (SELECT 1 FROM payload p WHERE p.job = j.id) LIMIT 20

--: arguments of nobody
SELECT job FROM payload p WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = p.job) LIMIT 20

--: results of nobody
SELECT job FROM result r WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = r.job) LIMIT 20

--: marks of nobody
SELECT job, mark FROM mark m WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = m.job) LIMIT 20

--: requests of nobody
SELECT job, request FROM request r WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = r.job) LIMIT 20

--: ticks
SELECT min(job), mark, count(*) FROM mark WHERE mark GLOB 'cron/*' GROUP BY mark HAVING count(*) > 1 LIMIT 20

--: sessions
SELECT id, about FROM session

--: retries
SELECT j.id, p.policy FROM job j JOIN payload p ON p.job = j.id WHERE j.tries > 0 AND j.ended IS NULL
