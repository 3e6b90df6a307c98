-- What comes in by SQL keeps the same bounds as what comes in by Python: a worker can read it, and an index has room.

-- What no worker could read in arguments, or in a document, as a sentence; null if there is nothing.
CREATE FUNCTION ramify.check_values(args json, levels integer) RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
    SELECT 'Illegal arguments: ' || CASE
        WHEN jsonb_path_exists(args::jsonb, 'strict $.** ? (@ > 1.7e308 || @ < -1.7e308)')
            THEN 'a number of more than 308 digits'
        WHEN jsonb_path_exists(args::jsonb, format(
                'strict $.**{%s to last} ? (@.type() == "array" || @.type() == "object")', levels + 1)::jsonpath)
            THEN 'more than ' || levels || ' arrays and objects in each other'
    END
$ramify_body$;

-- What is wrong with where and when a job is to run, as a sentence; null if nothing is.
CREATE FUNCTION ramify.check_place(queue text, label text, due double precision DEFAULT NULL) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $ramify_body$
    SELECT CASE
        WHEN queue = '' OR octet_length(queue) > 500 OR octet_length(label) > 500
            THEN 'queue and label have 1 to 500 bytes'
        WHEN due NOT BETWEEN extract(epoch FROM timestamptz '0001-01-01 UTC')
                AND extract(epoch FROM timestamptz '9999-12-31 23:59:59 UTC')
            THEN 'a job runs in one of the years 1 to 9999'
    END
$ramify_body$;

CREATE OR REPLACE FUNCTION ramify.enqueue(task text, args json DEFAULT '{}', priority integer DEFAULT NULL,
    queue text DEFAULT NULL, delay interval DEFAULT NULL, at timestamptz DEFAULT NULL, label text DEFAULT NULL,
    key text DEFAULT NULL, within interval DEFAULT NULL) RETURNS text LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
DECLARE
    due double precision := coalesce(extract(epoch FROM at), extract(epoch FROM clock_timestamp() + delay))::float8;
    problem text := coalesce(ramify.check_call(enqueue.task, enqueue.args), ramify.check_values(enqueue.args, 64),
        ramify.check_place(enqueue.queue, enqueue.label, due));
BEGIN
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING MESSAGE = problem, ERRCODE = 'invalid_parameter_value', HINT = CASE
            WHEN problem LIKE 'Invalid task%' THEN 'Tasks are known here once a program has called deploy().'
            ELSE enqueue.task END;
    END IF;
    RETURN ramify.store_call(task, args, priority, queue, due, label,
        CASE WHEN key IS NOT NULL THEN ramify.make_mark('unique', task, to_jsonb(key)) END,
        extract(epoch FROM within)::float8);
END $ramify_body$;

CREATE OR REPLACE FUNCTION ramify.enqueue_project(document json, priority integer DEFAULT 0,
    queue text DEFAULT 'default', label text DEFAULT NULL) RETURNS text LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
DECLARE
    problem text := coalesce(ramify.check_values(document, 10000),
        ramify.check_place(enqueue_project.queue, enqueue_project.label));
BEGIN
    IF document IS NULL OR json_typeof(document) <> 'object' THEN
        problem := 'a project is a JSON object, as {"jobs": [...]}';
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING MESSAGE = problem, ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN ramify.store_call('ramify:plan', json_build_array(document), priority, queue, NULL, label, NULL, NULL);
END $ramify_body$;

CREATE OR REPLACE PROCEDURE ramify.insert_job(type_key text, task_key text, arguments json, priority integer DEFAULT 1,
    system_name text DEFAULT 'external', INOUT inserted_job_id text DEFAULT NULL, INOUT message text DEFAULT NULL)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $ramify_body$
DECLARE
    name text := type_key || ':' || task_key;
BEGIN
    inserted_job_id := NULL;
    message := coalesce(ramify.check_call(name, arguments), ramify.check_values(arguments, 64));
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
