-- Keys by which portals use the HTTP interface. The secret is kept as a hash: who reads
-- the database gets no key.
CREATE TABLE api_key (
    id      TEXT PRIMARY KEY,
    ente    TEXT NOT NULL,
    label   TEXT NOT NULL,
    hash    BLOB NOT NULL,
    created TEXT NOT NULL,
    revoked TEXT NOT NULL DEFAULT ''
) STRICT;
