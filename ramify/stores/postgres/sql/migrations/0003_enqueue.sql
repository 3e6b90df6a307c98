-- Jobs from SQL, in the caller's own transaction and with the caller's own rights: from psql, a trigger, another language.
-- What is checked here is what `deploy()` stored of a task; graphs are planned by workers, from a document.
-- :'schema' stands for the name of the schema as a text.

-- A time-ordered id, as `ramify.ids` makes them: UUIDv7 in Crockford's base 32.
CREATE FUNCTION ramify.make_id() RETURNS text LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $ramify_body$
DECLARE
    micros bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
    chance bit(128) := ('x' || replace(gen_random_uuid()::text, '-', ''))::bit(128);
    bits bit varying := B'00' || (micros / 1000)::bit(48) || B'0111' || ((micros % 1000) * 4096 / 1000)::integer::bit(12)
        || B'10' || substring(chance FROM 1 FOR 48) || substring(chance FROM 115 FOR 14);
BEGIN
    RETURN (SELECT string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz',
        1 + substring(bits FROM 5 * place + 1 FOR 5)::bit(5)::integer, 1), '' ORDER BY place)
        FROM generate_series(0, 25) AS place);
END $ramify_body$;

-- A JSON value as `ramify.graph.need` writes it into marks: keys in order, no spaces, 2.0 as 2.
CREATE FUNCTION ramify.canonical(value jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
DECLARE
    number text;
BEGIN
    CASE jsonb_typeof(value)
    WHEN 'object' THEN
        RETURN (SELECT '{' || coalesce(string_agg(to_json(e.key)::text || ':' || ramify.canonical(e.value), ','
            ORDER BY e.key COLLATE "C"), '') || '}' FROM jsonb_each(value) AS e);
    WHEN 'array' THEN
        RETURN (SELECT '[' || coalesce(string_agg(ramify.canonical(e.value), ',' ORDER BY e.place), '') || ']'
            FROM jsonb_array_elements(value) WITH ORDINALITY AS e (value, place));
    WHEN 'number' THEN
        IF value::numeric = trunc(value::numeric) THEN
            RETURN trunc(value::numeric)::text;
        END IF;
        number := value::numeric::double precision::text;
        RETURN CASE WHEN number LIKE '%e-05' THEN trim_scale(number::numeric)::text ELSE replace(number, 'e-0', 'e-') END;
    ELSE
        RETURN value::text;
    END CASE;
END $ramify_body$;

CREATE FUNCTION ramify.make_mark(kind text, task text, value jsonb) RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
    SELECT kind || '/' || left(encode(sha256(convert_to(task || E'\n' || ramify.canonical(value), 'UTF8')), 'hex'), 32)
$ramify_body$;

-- The number of a lock, as `ramify.stores.postgres.server.key` makes it.
CREATE FUNCTION ramify.lock_key(name text) RETURNS bigint LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
    SELECT ('x' || left(encode(sha256(convert_to('ramify' || E'\n' || :'schema' || E'\n' || name, 'UTF8')), 'hex'), 16))
        ::bit(64)::bigint
$ramify_body$;

-- The arguments of a call by name, defaults included; null where the call has more than the task takes.
CREATE FUNCTION ramify.call_values(about jsonb, args jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
    WITH parameters AS (
        SELECT p ->> 'name' AS name, p -> 'default' AS fallback, coalesce(p ->> 'kind', 'any') AS kind,
            row_number() OVER (ORDER BY number) - 1 AS place
        FROM jsonb_array_elements(about -> 'parameters') WITH ORDINALITY AS e (p, number)
    ), given AS (
        SELECT name, coalesce(
            CASE WHEN jsonb_typeof(args) = 'array' AND kind IN ('any', 'position') THEN args -> place::integer
                 WHEN jsonb_typeof(args) = 'object' THEN args -> name END, fallback) AS value
        FROM parameters WHERE kind IN ('any', 'position', 'name')
    )
    SELECT coalesce((SELECT jsonb_object_agg(name, value) FROM given WHERE value IS NOT NULL), '{}')
        || CASE WHEN jsonb_typeof(args) = 'object' THEN args ELSE '{}' END
$ramify_body$;

-- What is wrong with a call, as a sentence that names it; null if nothing is.
CREATE FUNCTION ramify.check_call(task text, args json) RETURNS text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
DECLARE
    about jsonb := (SELECT t.about::jsonb FROM ramify.task t WHERE t.name = check_call.task);
    given jsonb := args::jsonb;
    parameters jsonb := coalesce(about -> 'parameters', '[]');
    bound jsonb;
    found text;
BEGIN
    IF about IS NULL THEN
        RETURN 'Invalid task: ' || replace(task, ':', '.');
    END IF;
    IF given IS NULL OR jsonb_typeof(given) NOT IN ('object', 'array') THEN
        RETURN 'Illegal arguments: they are an object with their names, or an array';
    END IF;
    IF octet_length(args::text) > 1048576 THEN
        RETURN 'Illegal arguments: more than 1 MiB; store them elsewhere, and pass their name';
    END IF;
    bound := ramify.call_values(about, given);
    SELECT string_agg(p ->> 'name', ', ') INTO found FROM jsonb_array_elements(parameters) AS p
    WHERE (p -> 'required')::boolean AND NOT bound ? (p ->> 'name');
    IF found IS NOT NULL THEN
        RETURN 'Missing arguments: ' || found;
    END IF;
    IF jsonb_typeof(given) = 'object' THEN
        SELECT string_agg(name, ', ' ORDER BY name) INTO found FROM jsonb_object_keys(given) AS name
        WHERE NOT EXISTS (SELECT 1 FROM jsonb_array_elements(parameters) AS p WHERE p ->> 'kind' = 'others'
            OR p ->> 'name' = name AND coalesce(p ->> 'kind', 'any') IN ('any', 'name'));
    ELSIF NOT parameters @> '[{"kind": "rest"}]' AND jsonb_array_length(given) > (SELECT count(*)
            FROM jsonb_array_elements(parameters) AS p WHERE coalesce(p ->> 'kind', 'any') IN ('any', 'position')) THEN
        found := 'argument ' || jsonb_array_length(given);
    END IF;
    IF found IS NOT NULL THEN
        RETURN 'Unknown arguments: ' || found;
    END IF;
    SELECT string_agg((p ->> 'name') || ' must be one of ' || (SELECT string_agg(a.value::text, ',')
            FROM jsonb_array_elements(p -> 'allowed') AS a), '; ') INTO found
    FROM jsonb_array_elements(parameters) AS p
    WHERE jsonb_typeof(p -> 'allowed') = 'array' AND bound ? (p ->> 'name')
        AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements(p -> 'allowed') AS a WHERE a.value = bound -> (p ->> 'name'));
    RETURN 'Illegal arguments: ' || found;
END $ramify_body$;

-- Store one checked call; return the id of its job, or of the one that stands for it.
CREATE FUNCTION ramify.store_call(call_task text, args json, call_priority integer, call_queue text,
    due_at double precision, call_label text, call_mark text, call_within double precision)
RETURNS text LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $ramify_body$
DECLARE
    about jsonb := coalesce((SELECT t.about::jsonb FROM ramify.task t WHERE t.name = call_task), '{}');
    how jsonb := coalesce(about -> 'how', '{}');
    given jsonb := ramify.call_values(about, args::jsonb);
    in_queue text := coalesce(call_queue, how ->> 'queue', 'default');
    in_units integer := coalesce((how ->> 'units')::integer, 1);
    moment double precision := extract(epoch FROM clock_timestamp());
    new_id text := ramify.make_id();
    earlier text;
    lane_id integer;
BEGIN
    IF call_mark IS NULL AND jsonb_typeof(how -> 'unique') = 'object' THEN
        call_mark := ramify.make_mark('unique', call_task, CASE
            WHEN how #>> '{unique,key}' IS NOT NULL THEN how #> '{unique,key}'
            WHEN jsonb_typeof(how #> '{unique,by}') = 'array' THEN (SELECT jsonb_object_agg(n, given -> n)
                FROM jsonb_array_elements_text(how #> '{unique,by}') AS n)
            ELSE given END);
        call_within := CASE WHEN jsonb_typeof(how #> '{unique,within}') = 'number'
            THEN (how #>> '{unique,within}')::double precision END;
    END IF;
    IF call_mark IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(ramify.lock_key('mark ' || call_mark));
        SELECT j.id INTO earlier FROM ramify.mark m JOIN ramify.job j ON j.id = m.job
        WHERE m.mark = call_mark AND (j.state IN ('held', 'waiting', 'ready', 'running')
                OR j.state = 'done' AND j.ended >= moment - call_within)
            AND NOT EXISTS (SELECT 1 FROM ramify.work w WHERE w.verb = 'purge' AND w.job = j.tree)
        ORDER BY j.state = 'done' DESC, j.ended DESC, j.id LIMIT 1 FOR SHARE OF j;
        IF earlier IS NOT NULL THEN
            RETURN earlier;
        END IF;
    END IF;
    SELECT l.id INTO lane_id FROM ramify.lane l WHERE l.queue = in_queue AND l.task = call_task
        AND l.slot IS NOT DISTINCT FROM (how ->> 'slot') AND l.units = in_units;
    WHILE lane_id IS NULL LOOP
        INSERT INTO ramify.lane (queue, task, slot, units) VALUES (in_queue, call_task, how ->> 'slot', in_units)
        ON CONFLICT DO NOTHING;
        SELECT l.id INTO lane_id FROM ramify.lane l WHERE l.queue = in_queue AND l.task = call_task
            AND l.slot IS NOT DISTINCT FROM (how ->> 'slot') AND l.units = in_units;
    END LOOP;
    due_at := coalesce(due_at, moment + (how ->> 'delay')::double precision);
    INSERT INTO ramify.job (id, tree, lane, priority, label, state, waits, due, lasts, deadline)
    VALUES (new_id, new_id, lane_id, coalesce(call_priority, (how ->> 'priority')::integer, 0),
        coalesce(call_label, how ->> 'label'), 'ready', 0, CASE WHEN due_at > moment THEN due_at END,
        (how ->> 'limit')::double precision, moment + (how ->> 'limit')::double precision);
    INSERT INTO ramify.payload (job, args, policy, takes)
    VALUES (new_id, convert_to(CASE WHEN json_typeof(args) = 'array' THEN '[' || args::text || ',{}]'
        ELSE '[[],' || args::text || ']' END, 'UTF8'), nullif(how ->> 'policy', '{}'), false);
    INSERT INTO ramify.mark (mark, job)
    SELECT m, new_id FROM (
        SELECT call_mark AS m
        UNION
        SELECT ramify.make_mark('need', call_task, coalesce(
            (SELECT jsonb_object_agg(n, given -> n) FROM jsonb_array_elements_text(asked) AS n), '{}'))
        FROM jsonb_array_elements(about -> 'asked') AS asked
        WHERE NOT EXISTS (SELECT 1 FROM jsonb_array_elements_text(asked) AS n WHERE NOT given ? n)
    ) AS marks WHERE m IS NOT NULL;
    PERFORM pg_notify('ramify_ready_' || left(encode(sha256(convert_to(:'schema', 'UTF8')), 'hex'), 16), '');
    RETURN new_id;
END $ramify_body$;

-- SELECT ramify.enqueue('my_tasks:task1', '{"a": 1}', priority => 5, delay => '1 hour');
CREATE FUNCTION ramify.enqueue(task text, args json DEFAULT '{}', priority integer DEFAULT NULL, queue text DEFAULT NULL,
    delay interval DEFAULT NULL, at timestamptz DEFAULT NULL, label text DEFAULT NULL, key text DEFAULT NULL,
    within interval DEFAULT NULL) RETURNS text LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
DECLARE
    problem text := ramify.check_call(enqueue.task, enqueue.args);
BEGIN
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING MESSAGE = problem, ERRCODE = 'invalid_parameter_value', HINT = CASE
            WHEN problem LIKE 'Invalid task%' THEN 'Tasks are known here once a program has called deploy().'
            ELSE enqueue.task END;
    END IF;
    IF queue = '' OR length(queue) > 500 OR length(label) > 500 THEN
        RAISE EXCEPTION USING MESSAGE = 'queue and label have 1 to 500 characters', ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN ramify.store_call(task, args, priority, queue,
        coalesce(extract(epoch FROM at), extract(epoch FROM clock_timestamp() + delay))::float8, label,
        CASE WHEN key IS NOT NULL THEN ramify.make_mark('unique', task, to_jsonb(key)) END,
        extract(epoch FROM within)::float8);
END $ramify_body$;

-- SELECT ramify.enqueue_project('{"jobs": [...]}'): a worker plans it; a mistake in it fails the job, with the path to it.
CREATE FUNCTION ramify.enqueue_project(document json, priority integer DEFAULT 0, queue text DEFAULT 'default',
    label text DEFAULT NULL) RETURNS text LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
BEGIN
    IF document IS NULL OR json_typeof(document) <> 'object' THEN
        RAISE EXCEPTION USING MESSAGE = 'a project is a JSON object, as {"jobs": [...]}', ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN ramify.store_call('ramify:plan', json_build_array(document), priority, queue, NULL, label, NULL, NULL);
END $ramify_body$;

CREATE PROCEDURE ramify.insert_job(type_key text, task_key text, arguments json, priority integer DEFAULT 1,
    system_name text DEFAULT 'external', INOUT inserted_job_id text DEFAULT NULL, INOUT message text DEFAULT NULL)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $ramify_body$
DECLARE
    name text := type_key || ':' || task_key;
BEGIN
    inserted_job_id := NULL;
    message := ramify.check_call(name, arguments);
    IF message IS NULL THEN
        PERFORM pg_advisory_xact_lock(ramify.lock_key('task ' || name));
        SELECT j.id INTO inserted_job_id FROM ramify.lane l JOIN ramify.job j ON j.lane = l.id
            JOIN ramify.payload p ON p.job = j.id
        WHERE l.task = name AND j.state IN ('held', 'waiting', 'ready', 'running')
            AND convert_from(p.args, 'UTF8')::jsonb -> 1 @> arguments::jsonb ORDER BY j.id LIMIT 1;
        message := CASE WHEN inserted_job_id IS NULL THEN 'inserted job' ELSE 'job already in queue' END;
        IF inserted_job_id IS NULL THEN
            inserted_job_id := ramify.store_call(name, arguments, priority, NULL, NULL, NULL, NULL, NULL);
        END IF;
    END IF;
END $ramify_body$;

CREATE PROCEDURE ramify.insert_job(type_key text, task_key text, priority integer, arguments json,
    INOUT inserted_job_id text DEFAULT NULL, INOUT message text DEFAULT NULL)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $ramify_body$
BEGIN
    CALL ramify.insert_job(type_key, task_key, arguments, priority, 'external', inserted_job_id, message);
END $ramify_body$;
