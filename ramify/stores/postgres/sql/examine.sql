-- examine: how the database is in which the jobs are. Reads only what the server says of itself.

--: old
SELECT pid, coalesce(nullif(application_name, ''), usename, '?'), extract(epoch FROM clock_timestamp() - xact_start)::float8
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    AND xact_start < clock_timestamp() - make_interval(secs => %s)
ORDER BY xact_start LIMIT 5

--: invalid
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND NOT i.indisvalid ORDER BY c.relname

--: dead
SELECT relname, n_dead_tup, n_live_tup FROM pg_stat_user_tables
WHERE schemaname = %s AND n_dead_tup > %s AND n_dead_tup > n_live_tup / 2 ORDER BY relname
