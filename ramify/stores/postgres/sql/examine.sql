-- examine: what a look at the jobs would not show. The statements of `wrong` give jobs and what is wrong with them, the
-- others sentences. Reads all, and the server's own tables.

--: wrong arguments
SELECT j.id, 'its arguments are gone' FROM ramify.job j JOIN ramify.lane l ON l.id = j.lane
WHERE l.task IS NOT NULL AND NOT EXISTS (SELECT FROM ramify.payload p WHERE p.job = j.id) LIMIT 20

--: arguments
SELECT job, args FROM ramify.payload

--: wrong tries
SELECT j.id, 'is to run again after ' || j.tries || ' tries that failed, of which its policy allows fewer'
FROM ramify.job j LEFT JOIN ramify.payload p ON p.job = j.id
WHERE j.ended IS NULL AND j.tries > coalesce(substring(p.policy FROM '"times":([0-9]+)')::int, 0) LIMIT 20

--: wrong lanes
SELECT j.id, 'its lane ' || j.lane || ' is not stored' FROM ramify.job j
WHERE NOT EXISTS (SELECT FROM ramify.lane l WHERE l.id = j.lane) LIMIT 20

--: wrong arguments of nobody
SELECT p.job, 'its arguments are stored, but it is not' FROM ramify.payload p
WHERE NOT EXISTS (SELECT FROM ramify.job j WHERE j.id = p.job) LIMIT 20

--: wrong results of nobody
SELECT r.job, 'its result is stored, but it is not' FROM ramify.result r
WHERE NOT EXISTS (SELECT FROM ramify.job j WHERE j.id = r.job) LIMIT 20

--: wrong marks of nobody
SELECT m.job, 'it has the mark ' || m.mark || ', but is not stored' FROM ramify.mark m
WHERE NOT EXISTS (SELECT FROM ramify.job j WHERE j.id = m.job) LIMIT 20

--: wrong requests of nobody
SELECT r.job, 'it answers the request ' || r.request || ', but is not stored' FROM ramify.request r
WHERE NOT EXISTS (SELECT FROM ramify.job j WHERE j.id = r.job) LIMIT 20

--: wrong ticks
SELECT min(job), 'its tick ' || mark || ' has ' || count(*) || ' jobs' FROM ramify.mark
WHERE starts_with(mark, 'cron/') GROUP BY mark HAVING count(*) > 1 LIMIT 20

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
