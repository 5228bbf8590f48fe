-- The municipality's population as it was imported: one row for a person of an ente. data
-- is JSON (resident.Data); the columns beside it are what is searched.
CREATE TABLE resident (
    id      TEXT PRIMARY KEY,
    ente    TEXT NOT NULL,
    code    TEXT NOT NULL,          -- codice fiscale
    name    TEXT NOT NULL,          -- family and given name without accents, upper case
    street  TEXT NOT NULL,          -- the address likewise
    sheet   TEXT NOT NULL,          -- the family's
    data    TEXT NOT NULL,
    gone    TEXT NOT NULL DEFAULT '', -- when an import did not bring the person any more
    made_by TEXT NOT NULL,          -- the import that brought the person first
    created TEXT NOT NULL,
    changed TEXT NOT NULL,
    UNIQUE (ente, code)
) STRICT;
CREATE INDEX resident_name ON resident (ente, name, id);
CREATE INDEX resident_sheet ON resident (ente, sheet);

-- What became of a record: by an import or by an operator.
CREATE TABLE resident_change (
    resident TEXT NOT NULL REFERENCES resident (id),
    n        INTEGER NOT NULL,
    time     TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('import', 'gone', 'back', 'correction', 'kept', 'agreed')),
    field    TEXT NOT NULL DEFAULT '',
    old      TEXT NOT NULL DEFAULT '',
    new      TEXT NOT NULL DEFAULT '',
    operator INTEGER NOT NULL,
    reason   TEXT NOT NULL DEFAULT '',
    import   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (resident, n)
) STRICT;

-- Corrections that hold against what imports bring: source is what the import had.
CREATE TABLE resident_correction (
    resident TEXT NOT NULL REFERENCES resident (id),
    field    TEXT NOT NULL,
    source   TEXT NOT NULL,
    operator INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    time     TEXT NOT NULL,
    PRIMARY KEY (resident, field)
) STRICT;

CREATE TABLE resident_import (
    id        TEXT PRIMARY KEY,
    ente      TEXT NOT NULL,
    name      TEXT NOT NULL,        -- the file's
    complete  INTEGER NOT NULL,     -- whoever is not in it is gone
    state     TEXT NOT NULL CHECK (state IN ('checked', 'done', 'dropped')),
    sha256    TEXT NOT NULL,
    size      INTEGER NOT NULL,
    summary   TEXT NOT NULL,        -- JSON: counts, nothing personal
    plan      TEXT NOT NULL,        -- hash of everything that it would change
    operator  INTEGER NOT NULL,
    created   TEXT NOT NULL,
    decided_by INTEGER NOT NULL DEFAULT 0,
    decided   TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX resident_import_ente ON resident_import (ente, created);

-- Why an operator looked: a record is opened from a search of the same operator.
CREATE TABLE resident_search (
    id       TEXT PRIMARY KEY,
    ente     TEXT NOT NULL,
    operator INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    time     TEXT NOT NULL
) STRICT;
