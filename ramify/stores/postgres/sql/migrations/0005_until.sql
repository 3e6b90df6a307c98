-- A limit may end by itself: a queue is suspended for an hour.

ALTER TABLE ramify.rule ADD COLUMN until double precision;
