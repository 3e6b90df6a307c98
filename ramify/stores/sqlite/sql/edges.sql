-- Edges into and out of jobs; reads edge and job, writes edge when a verdict is taken back.

--: into
SELECT after, place, before, kind, asks, slots, verdict FROM edge
WHERE after = ? AND place > ? ORDER BY place LIMIT ?

--: bad into
SELECT after, place, before, kind, asks, slots, verdict FROM edge
WHERE after = ? AND place > ? AND verdict IS NOT NULL
    AND CASE WHEN kind = 'child' THEN verdict <> 'done' ELSE asks <> 'ended' AND asks <> verdict END
ORDER BY place LIMIT ?

--: out
SELECT after, place, before, kind, asks, slots, verdict FROM edge
WHERE before = ? AND (after, place) > (?, ?) ORDER BY after, place LIMIT ?

--: into these
SELECT e.after, e.place, e.before, e.kind, e.asks, e.slots, e.verdict
FROM json_each(?) CROSS JOIN edge e ON e.after = value
WHERE (e.after, e.place) > (?, ?) AND (? = 0 OR e.verdict IS NOT NULL
    AND CASE WHEN e.kind = 'child' THEN e.verdict <> 'done' ELSE e.asks <> 'ended' AND e.asks <> e.verdict END)
ORDER BY e.after, e.place LIMIT ?

--: out of these
SELECT e.after, e.place, e.before, e.kind, e.asks, e.slots, e.verdict
FROM json_each(?) CROSS JOIN edge e ON e.before = value
WHERE (e.before, e.after, e.place) > (?, ?, ?) AND (? = 0 OR e.verdict IS NOT NULL
    AND CASE WHEN e.kind = 'child' THEN e.verdict <> 'done' ELSE e.asks <> 'ended' AND e.asks <> e.verdict END)
ORDER BY e.before, e.after, e.place LIMIT ?

--: slots
SELECT after, place, before, kind, asks, slots, verdict FROM edge
WHERE after IN (SELECT value FROM json_each(?)) AND slots IS NOT NULL ORDER BY after, place

--: lowest
SELECT coalesce(min(place), 0) FROM edge WHERE after = ?

--: successors
SELECT e.before, e.after FROM json_each(?) CROSS JOIN edge e ON e.before = value CROSS JOIN job s ON s.id = e.after
WHERE s.state <> 'done' ORDER BY e.before, e.after, e.place

--: reopen
UPDATE edge SET verdict = NULL WHERE after = ? AND place = ?

--: forgive
UPDATE edge SET asks = 'ended' WHERE after = ? AND kind = 'after' AND (verdict IS NULL OR verdict <> 'done')
