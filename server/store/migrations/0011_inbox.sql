-- Up to which step somebody has read an application's messages. "reader" is a person or a
-- credential that nobody has proved.
CREATE TABLE application_read (
    application TEXT NOT NULL REFERENCES application (id),
    reader      TEXT NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (application, reader)
) STRICT;

-- What people think of a service. Neither who nor which application, and of the time the
-- month alone: nothing leads back.
CREATE TABLE rating (
    id      TEXT PRIMARY KEY,
    ente    TEXT NOT NULL,
    service TEXT NOT NULL,
    month   TEXT NOT NULL,
    stars   INTEGER NOT NULL CHECK (stars BETWEEN 1 AND 5),
    aspect  TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT;
CREATE INDEX rating_ente ON rating (ente, service);

-- That an application was rated, so that each is rated once; not how.
CREATE TABLE rated (
    application TEXT PRIMARY KEY REFERENCES application (id)
) STRICT;
