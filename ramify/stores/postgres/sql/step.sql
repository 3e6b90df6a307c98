-- The frame of a step: locks that last as long as its transaction, and what it must know from its beginning.
-- All steps but the addition of new trees hold the store's lock, most of them shared; walks over the graph hold it alone.

--: look
SELECT extract(epoch FROM clock_timestamp())::float8,
    (SELECT array[w.job, w.verb, w.cursor, w.origin] FROM ramify.work w ORDER BY w.number LIMIT 1),
    (SELECT json_object_agg(r.name, r.n ORDER BY r.name) FROM ramify.rule r)::text

--: lock
SELECT pg_advisory_xact_lock(%s::bigint)

--: now
SELECT extract(epoch FROM clock_timestamp())::float8
