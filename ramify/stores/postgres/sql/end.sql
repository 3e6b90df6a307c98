-- end: fence, outcome and result in one statement; the reports come in order of id, and so the rows are locked. Writes
-- job and result. The edges are settled by the next statement, whose snapshot shows those that were added while this one
-- waited for a row. LATERAL pins the plan: for each report its row, whatever the planner knows of a young table.

--: end
WITH mine AS MATERIALIZED (
    SELECT t.* FROM unnest(%s::text[], %s::text[], %s::int[], %s::bytea[], %s::bool[], %s::text[])
        AS t (job, state, attempt, value, spread, failure)
    CROSS JOIN LATERAL (
        SELECT 1 FROM ramify.job j WHERE j.id = t.job
            -- As one comparison, which no index fits: all running jobs of the session are in one, too.
            AND (j.state, j.session, j.attempt) IS NOT DISTINCT FROM ('running', %s, t.attempt)
        FOR NO KEY UPDATE
    ) AS j
), ended AS (
    UPDATE ramify.job j SET state = m.state, session = NULL, ended = %s, deadline = NULL
    FROM mine m WHERE j.id = m.job
    -- An earlier try, or a cancel that came too late, may have left a failure.
    RETURNING j.id, j.attempt > 1 OR j.cancelled AS marred, m.value, m.spread, m.failure
), kept AS (
    INSERT INTO ramify.result (job, value, spread, failure)
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
