-- The frame of a step: locks that last as long as its transaction, and what it must know from its beginning.
-- All steps but the addition of new trees hold the store's lock, most of them shared; walks over the graph hold it alone.

--: look
SELECT extract(epoch FROM clock_timestamp())::float8,
    (SELECT array[w.job, w.verb, w.cursor, w.origin] FROM ramify.work w ORDER BY w.number LIMIT 1),
    (SELECT json_object_agg(r.name, json_build_array(r.n, r.until) ORDER BY r.name) FROM ramify.rule r)::text,
    ARRAY(SELECT s.id FROM ramify.session s WHERE NOT s.dead)

--: lock
SELECT pg_advisory_xact_lock(%s::bigint)

--: now
SELECT extract(epoch FROM clock_timestamp())::float8
