-- What every claim writes into the index of running jobs is less: equal sessions share an entry.

DROP INDEX ramify.job_running;
CREATE INDEX job_running ON ramify.job (session) WHERE state = 'running';
CREATE INDEX job_marked ON ramify.job (session, id) WHERE state = 'running' AND cancelled;
