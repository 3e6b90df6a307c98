-- Tasks as they were declared, in JSON (`ramify.declared.Declaration`), and clocks: how far each schedule is.

CREATE TABLE task (name TEXT NOT NULL PRIMARY KEY, about TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE clock (name TEXT NOT NULL PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;
