-- Less is written: of running jobs those of one session share an entry in the index, and an edge has room on its page
-- for its verdict, which each edge gets once.

DROP INDEX ramify.job_running;
CREATE INDEX job_running ON ramify.job (session) WHERE state = 'running';
CREATE INDEX job_marked ON ramify.job (session, id) WHERE state = 'running' AND cancelled;

ALTER TABLE ramify.edge SET (fillfactor = 50);
