-- Edges into and out of jobs; reads edge and job, writes edge when a verdict is taken back.

--: into
SELECT after, place, before, kind, asks, slots, verdict FROM ramify.edge
WHERE after = %s AND place > %s ORDER BY place LIMIT %s

--: bad into
SELECT after, place, before, kind, asks, slots, verdict FROM ramify.edge
WHERE after = %s AND place > %s AND verdict IS NOT NULL
    AND CASE WHEN kind = 'child' THEN verdict <> 'done' ELSE asks <> 'ended' AND asks <> verdict END
ORDER BY place LIMIT %s

--: out
SELECT after, place, before, kind, asks, slots, verdict FROM ramify.edge
WHERE before = %s AND (after, place) > (%s, %s) ORDER BY after, place LIMIT %s

--: into these
SELECT after, place, before, kind, asks, slots, verdict FROM ramify.edge
WHERE after = ANY(%s::text[]) AND (after, place) > (%s, %s) AND (NOT %s OR verdict IS NOT NULL
    AND CASE WHEN kind = 'child' THEN verdict <> 'done' ELSE asks <> 'ended' AND asks <> verdict END)
ORDER BY after, place LIMIT %s

--: out of these
SELECT after, place, before, kind, asks, slots, verdict FROM ramify.edge
WHERE before = ANY(%s::text[]) AND (before, after, place) > (%s, %s, %s) AND (NOT %s OR verdict IS NOT NULL
    AND CASE WHEN kind = 'child' THEN verdict <> 'done' ELSE asks <> 'ended' AND asks <> verdict END)
ORDER BY before, after, place LIMIT %s

--: slots
SELECT after, place, before, kind, asks, slots, verdict FROM ramify.edge
WHERE after = ANY(%s::text[]) AND slots IS NOT NULL ORDER BY after, place

--: lowest
SELECT coalesce(min(place), 0) FROM ramify.edge WHERE after = %s

--: successors
SELECT e.before, e.after FROM ramify.edge e
CROSS JOIN LATERAL (SELECT s.state FROM ramify.job s WHERE s.id = e.after OFFSET 0) AS s
WHERE e.before = ANY(%s::text[]) AND s.state <> 'done' ORDER BY e.before, e.after, e.place

--: reopen
UPDATE ramify.edge e SET verdict = NULL FROM unnest(%s::text[], %s::bigint[]) AS t (after, place)
WHERE e.after = ANY(ARRAY[t.after]) AND e.place = t.place

--: forgive
UPDATE ramify.edge SET asks = 'ended' WHERE after = %s AND kind = 'after' AND (verdict IS NULL OR verdict <> 'done')

--: all
SELECT after, place, before, kind, asks, slots, verdict FROM ramify.edge ORDER BY after, place
