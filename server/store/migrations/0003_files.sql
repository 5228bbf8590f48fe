-- Documents in the database, for PostgreSQL; the embedded database keeps them in a folder.
CREATE TABLE file (
    name TEXT PRIMARY KEY,
    id   TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE file_piece (
    file TEXT NOT NULL,
    n    INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (file, n)
) STRICT;

-- Files that go with the next sweep, so that a backup which has read their rows finds them yet.
CREATE TABLE file_garbage (
    name  TEXT PRIMARY KEY,
    since TEXT NOT NULL
) STRICT;
