-- What jobs say while they run: of each the newest lines.

CREATE TABLE ramify.line (
    job text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    stream text NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (job, number)
);
