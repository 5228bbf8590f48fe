-- What somebody has begun to write and cannot send yet, because the service needs a higher
-- credential. "owner" is a browser, a credential or a person; it opens nothing.
CREATE TABLE kept (
    owner   TEXT NOT NULL,
    ente    TEXT NOT NULL,
    service TEXT NOT NULL,
    fields  TEXT NOT NULL, -- JSON
    changed TEXT NOT NULL,
    expires TEXT NOT NULL,
    PRIMARY KEY (owner, ente, service)
) STRICT;
CREATE INDEX kept_expires ON kept (expires);
