-- A limit may end by itself: a queue is suspended for an hour.

ALTER TABLE rule ADD COLUMN until REAL;
