-- examine: what could not be read, or belongs to nobody, and the server's own tables. Each statement gives jobs and the
-- words for what is wrong with them (stores/damage.py), some also texts, second, that may be damaged; those about the
-- server give sentences. Reads all.

--: words of jobs
SELECT id, state, step FROM ramify.job
WHERE state NOT IN ('held', 'waiting', 'ready', 'running', 'done', 'failed', 'cancelled', 'skipped')
    OR step NOT IN ('run', 'end') LIMIT 20

--: words of edges
SELECT after, before, kind, asks, coalesce(verdict, 'open') FROM ramify.edge
WHERE kind NOT IN ('child', 'after') OR asks NOT IN ('done', 'ended', 'failed') OR verdict NOT IN
    ('held', 'waiting', 'ready', 'running', 'done', 'failed', 'cancelled', 'skipped') LIMIT 20

--: words of the worklist
SELECT job, verb FROM ramify.work WHERE verb NOT IN ('spread', 'cancel', 'hold', 'release', 'retry', 'purge') LIMIT 20

--: lanes
SELECT j.id, j.lane FROM ramify.job j WHERE NOT EXISTS (SELECT FROM ramify.lane l WHERE l.id = j.lane) LIMIT 20

--: slots
SELECT after, slots, before FROM ramify.edge WHERE slots IS NOT NULL

--: failures
SELECT job, failure FROM ramify.result WHERE failure IS NOT NULL

--: arguments
SELECT job, args FROM ramify.payload

--: policies
SELECT min(job), policy FROM ramify.payload WHERE policy IS NOT NULL GROUP BY policy

--: no arguments
SELECT j.id FROM ramify.job j JOIN ramify.lane l ON l.id = j.lane
WHERE l.task IS NOT NULL AND NOT EXISTS (SELECT FROM ramify.payload p WHERE p.job = j.id) LIMIT 20

--: arguments of nobody
SELECT p.job FROM ramify.payload p WHERE NOT EXISTS (SELECT FROM ramify.job j WHERE j.id = p.job) LIMIT 20

--: results of nobody
SELECT r.job FROM ramify.result r WHERE NOT EXISTS (SELECT FROM ramify.job j WHERE j.id = r.job) LIMIT 20

--: marks of nobody
SELECT m.job, m.mark FROM ramify.mark m WHERE NOT EXISTS (SELECT FROM ramify.job j WHERE j.id = m.job) LIMIT 20

--: requests of nobody
SELECT r.job, r.request FROM ramify.request r
WHERE NOT EXISTS (SELECT FROM ramify.job j WHERE j.id = r.job) LIMIT 20

--: ticks
SELECT min(job), mark, count(*) FROM ramify.mark
WHERE starts_with(mark, 'cron/') GROUP BY mark HAVING count(*) > 1 LIMIT 20

--: sessions
SELECT id, about FROM ramify.session

--: retries
SELECT j.id, p.policy FROM ramify.job j JOIN ramify.payload p ON p.job = j.id WHERE j.tries > 0 AND j.ended IS NULL

--: invalid indexes
SELECT 'the index ' || c.relname || ' is not valid; REINDEX INDEX makes it anew' FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND n.nspname = %s

--: old transactions
SELECT 'a transaction is open for ' || round(extract(epoch FROM clock_timestamp() - xact_start)) || ' seconds (process '
    || pid || ', ' || coalesce(nullif(application_name, ''), 'no name') || '); dead rows cannot be removed meanwhile'
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '5 minutes'
ORDER BY xact_start LIMIT 3

--: dead rows
SELECT 'the table ' || relname || ' has ' || n_dead_tup || ' dead rows beside ' || n_live_tup
    || '; if that lasts, look why autovacuum does not come'
FROM pg_stat_user_tables WHERE schemaname = %s AND n_dead_tup > 100000 AND n_dead_tup > n_live_tup / 2
