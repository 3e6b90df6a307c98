-- settle: each open edge out of an ended job gets its end as verdict, once; counters stand on the successors' rows,
-- which are locked in order of id and then counted down by what they say at that moment. Reads and writes edge and job.
-- `= ANY(ARRAY[…])` is an equality that cannot be merged: a plan that was made while a table was empty cannot read it from
-- end to end either, when it has grown.
-- Nothing is changed if more edges than asked for are open. Returns how many were, and the `fast` groups that got
-- their first bad child.

--: settle
WITH open AS MATERIALIZED (
    SELECT e.after, e.place, o.state, e.kind = 'child' AS child,
        CASE WHEN e.kind = 'child' THEN o.state <> 'done' ELSE e.asks <> 'ended' AND e.asks <> o.state END AS bad
    FROM unnest(%s::text[], %s::text[]) AS o (job, state) CROSS JOIN LATERAL (
        SELECT * FROM ramify.edge e WHERE e.before = o.job AND e.verdict IS NULL
            AND (e.before, e.after, e.place) > (o.job, %s, %s) AND (e.before, e.after, e.place) <= (o.job, %s, %s)
        OFFSET 0
    ) AS e
    LIMIT %s
), few AS MATERIALIZED (
    SELECT * FROM open WHERE (SELECT count(*) FROM open) <= %s
), counted AS MATERIALIZED (
    SELECT after AS id, count(*)::int AS n, (count(*) FILTER (WHERE bad))::int AS bad, bool_or(bad AND child) AS spoilt
    FROM few GROUP BY after
), locked AS MATERIALIZED (
    SELECT j.id FROM (SELECT id FROM counted ORDER BY id) c
    CROSS JOIN LATERAL (SELECT j.id FROM ramify.job j WHERE j.id = c.id FOR NO KEY UPDATE) AS j
), settled AS (
    UPDATE ramify.job j SET waits = j.waits - c.n, bads = j.bads + c.bad,
        state = CASE WHEN j.state = 'waiting' AND j.waits = c.n THEN 'ready' ELSE j.state END
    FROM counted c WHERE j.id = ANY(ARRAY[c.id]) AND (SELECT count(*) FROM locked) > 0
    RETURNING j.id, j.fast AND c.spoilt AND j.bads = c.bad
        AND j.state IN ('held', 'waiting', 'ready', 'running') AS spoils
), verdicts AS (
    UPDATE ramify.edge e SET verdict = f.state FROM few f WHERE e.after = ANY(ARRAY[f.after]) AND e.place = f.place
)
SELECT (SELECT count(*) FROM open), (SELECT array_agg(id ORDER BY id) FROM settled WHERE spoils)
