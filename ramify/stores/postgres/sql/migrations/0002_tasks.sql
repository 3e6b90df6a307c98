-- Tasks as they were declared, in JSON (`ramify.declared.Declaration`), and clocks: how far each schedule is.

CREATE TABLE ramify.task (name text COLLATE "C" PRIMARY KEY, about text NOT NULL);

CREATE TABLE ramify.clock (name text COLLATE "C" PRIMARY KEY, at double precision NOT NULL);
