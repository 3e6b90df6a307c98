-- end: fence and outcome for jobs that ended alike, and what they left. Writes job and result. Rows are found, and so
-- locked, in order of id. The edges are settled by a later statement, whose snapshot shows those that were added while
-- this one waited for a row.

--: end
WITH ended AS (
    UPDATE ramify.job SET state = %s, session = NULL, ended = %s, deadline = NULL
    WHERE id = ANY(%s::text[])
        -- As one comparison, which no index fits: all running jobs of the session are in one, too.
        AND (state, session, attempt) IS NOT DISTINCT FROM ('running', %s, %s::int)
    RETURNING id
), kept AS (
    INSERT INTO ramify.result (job, value, spread, failure)
    SELECT * FROM unnest(%s::text[], %s::bytea[], %s::bool[], %s::text[]) AS o (job, value, spread, failure)
    -- Nearly always all of them ended, and need not be looked for.
    WHERE ((SELECT count(*) FROM ended) = %s OR o.job = ANY(ARRAY(SELECT id FROM ended)))
        -- An earlier try, or a cancel that came too late, may have left a failure.
        AND (o.value IS NOT NULL OR o.failure IS NOT NULL
            OR EXISTS (SELECT 1 FROM ramify.result r WHERE r.job = o.job OFFSET 0))
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
FROM ramify.job j LEFT JOIN ramify.result r ON r.job = ANY(ARRAY[j.id]) WHERE j.id = ANY(%s::text[]) ORDER BY j.id

--: all
SELECT job, value, spread, failure, percent, status FROM ramify.result ORDER BY job
