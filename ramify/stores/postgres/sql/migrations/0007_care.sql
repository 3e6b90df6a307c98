-- Tables that grow with history are cleaned up early, too: a purge leaves a whole day's rows at once.
-- And whoever takes a lock in order to see what others have added must be able to see it.

ALTER TABLE ramify.payload SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
ALTER TABLE ramify.result SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
ALTER TABLE ramify.line SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
ALTER TABLE ramify.mark SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
ALTER TABLE ramify.request SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

-- The number of a lock, as `ramify.stores.postgres.server.key` makes it, for who looks next for a job that is there already.
CREATE OR REPLACE FUNCTION ramify.lock_key(name text) RETURNS bigint LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $ramify_body$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_transaction_state',
            MESSAGE = 'a job that must not be there twice needs a transaction at READ COMMITTED; this one is at '
                || upper(current_setting('transaction_isolation')),
            HINT = 'Its snapshot does not show what others have just added.';
    END IF;
    RETURN ('x' || left(encode(sha256(convert_to('ramify' || E'\n' || :'schema' || E'\n' || name, 'UTF8')), 'hex'), 16))
        ::bit(64)::bigint;
END $ramify_body$;
