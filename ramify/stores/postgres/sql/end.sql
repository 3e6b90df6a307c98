-- end: fence and outcome, and what the jobs left. Writes job and result. Jobs come, and so are locked, in order of id.
-- The edges are settled by a later statement, whose snapshot shows those that were added while this one waited for a row.

--: end
WITH ended AS (
    UPDATE ramify.job j SET state = o.state, session = NULL, ended = %s, deadline = NULL
    FROM unnest(%s::text[], %s::text[], %s::int[], %s::bytea[], %s::bool[], %s::text[])
        AS o (id, state, attempt, value, spread, failure)
    -- As one comparison, which no index fits: all running jobs of the session are in one, too.
    WHERE j.id = o.id AND (j.state, j.session, j.attempt) IS NOT DISTINCT FROM ('running', %s, o.attempt)
    RETURNING j.id, o.value, o.spread, o.failure, j.attempt > 1 OR j.cancelled AS marred
), kept AS (
    INSERT INTO ramify.result (job, value, spread, failure)
    -- An earlier try, or a cancel that came too late, may have left a failure.
    SELECT id, value, spread, failure FROM ended WHERE value IS NOT NULL OR failure IS NOT NULL OR marred
    ON CONFLICT (job) DO UPDATE SET value = coalesce(excluded.value, result.value), failure = excluded.failure,
        spread = CASE WHEN excluded.value IS NULL THEN result.spread ELSE excluded.spread END
)
SELECT id FROM ended

--: value
INSERT INTO ramify.result (job, value, spread) VALUES (%s, %s, %s)
ON CONFLICT (job) DO UPDATE SET value = excluded.value, spread = excluded.spread

--: failure
INSERT INTO ramify.result (job, failure) VALUES (%s, %s) ON CONFLICT (job) DO UPDATE SET failure = excluded.failure

--: no failure
UPDATE ramify.result SET failure = NULL WHERE job = %s

--: progress
INSERT INTO ramify.result (job, percent, status)
SELECT t.job, t.percent, t.status FROM unnest(%s::text[], %s::int[], %s::text[]) AS t (job, percent, status)
CROSS JOIN LATERAL (SELECT 1 FROM ramify.job j WHERE j.id = t.job AND j.session IS NOT DISTINCT FROM %s OFFSET 0) AS j
ORDER BY t.job
ON CONFLICT (job) DO UPDATE SET percent = excluded.percent, status = excluded.status

--: read
SELECT j.id, r.value, r.spread, r.failure, r.percent, r.status
FROM ramify.job j LEFT JOIN ramify.result r ON r.job = j.id WHERE j.id = ANY(%s::text[]) ORDER BY j.id

--: all
SELECT job, value, spread, failure, percent, status FROM ramify.result ORDER BY job
