-- settle: each open edge out of an ended job gets its end as verdict, once; counters stand on the successors' rows.
-- Reads and writes edge and job. ?1 are jobs that ended alike, ?2 their end, ?3–?6 the places between which.
-- CROSS JOIN pins the order: ended jobs, their edges, then the rows those lead to.

--: count
SELECT count(*) FROM
    (SELECT 1 FROM json_each(?1) CROSS JOIN edge e ON e.before = value WHERE e.verdict IS NULL LIMIT ?2)

--: first bad
SELECT DISTINCT s.id FROM json_each(?1) CROSS JOIN edge e ON e.before = value CROSS JOIN job s ON s.id = e.after
WHERE e.verdict IS NULL AND (e.after, e.place) > (?3, ?4) AND (e.after, e.place) <= (?5, ?6)
    AND e.kind = 'child' AND ?2 <> 'done' AND s.fast = 1 AND s.bads = 0
    AND s.state IN ('held', 'waiting', 'ready', 'running')

--: rows
UPDATE job SET waits = waits - d.n, bads = bads + d.bad,
    state = CASE WHEN state = 'waiting' AND waits = d.n THEN 'ready' ELSE state END
FROM (SELECT e.after AS id, count(*) AS n,
        sum(CASE WHEN e.kind = 'child' THEN ?2 <> 'done' ELSE e.asks <> 'ended' AND e.asks <> ?2 END) AS bad
    FROM json_each(?1) CROSS JOIN edge e ON e.before = value
    WHERE e.verdict IS NULL AND (e.after, e.place) > (?3, ?4) AND (e.after, e.place) <= (?5, ?6)
    GROUP BY e.after) AS d
WHERE job.id = d.id

--: edges
UPDATE edge SET verdict = ?2 WHERE (after, place) IN
    (SELECT e.after, e.place FROM json_each(?1) CROSS JOIN edge e ON e.before = value
     WHERE e.verdict IS NULL AND (e.after, e.place) > (?3, ?4) AND (e.after, e.place) <= (?5, ?6))
