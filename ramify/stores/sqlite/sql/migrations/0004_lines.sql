-- What jobs say while they run: of each the newest lines.

CREATE TABLE line (
    job TEXT NOT NULL,
    number INTEGER NOT NULL,
    stream TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
