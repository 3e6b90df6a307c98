-- settle: each open edge out of an ended job gets its end as verdict, once; counters stand on the successors' rows.
-- Reads and writes edge and job. :jobs ended alike, as :end says; the places are those between which their edges lead.
-- CROSS JOIN pins the order: ended jobs, their edges, then the rows those lead to.

--: count
SELECT count(*) FROM
    (SELECT 1 FROM json_each(?) CROSS JOIN edge e ON e.before = value WHERE e.verdict IS NULL LIMIT ?)

--: first bad
SELECT DISTINCT s.id FROM json_each(:jobs) CROSS JOIN edge e ON e.before = value CROSS JOIN job s ON s.id = e.after
WHERE e.verdict IS NULL AND (e.after, e.place) > (:from_job, :from_place) AND (e.after, e.place) <= (:upto_job, :upto_place)
    AND e.kind = 'child' AND :end <> 'done' AND s.fast = 1 AND s.bads = 0
    AND s.state IN ('held', 'waiting', 'ready', 'running')

--: rows
UPDATE job SET waits = waits - d.n, bads = bads + d.bad,
    state = CASE WHEN state = 'waiting' AND waits = d.n THEN 'ready' ELSE state END
FROM (SELECT e.after AS id, count(*) AS n,
        sum(CASE WHEN e.kind = 'child' THEN :end <> 'done' ELSE e.asks <> 'ended' AND e.asks <> :end END) AS bad
    FROM json_each(:jobs) CROSS JOIN edge e ON e.before = value
    WHERE e.verdict IS NULL AND (e.after, e.place) > (:from_job, :from_place) AND (e.after, e.place) <= (:upto_job, :upto_place)
    GROUP BY e.after) AS d
WHERE job.id = d.id

--: edges
UPDATE edge SET verdict = :end WHERE (after, place) IN
    (SELECT e.after, e.place FROM json_each(:jobs) CROSS JOIN edge e ON e.before = value
     WHERE e.verdict IS NULL AND (e.after, e.place) > (:from_job, :from_place) AND (e.after, e.place) <= (:upto_job, :upto_place))
