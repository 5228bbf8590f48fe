-- Documents behind a mandate: sent with what was asked online (its id is the mandate's, no
-- operator), or scanned at the desk that saw them.
CREATE TABLE mandate_proof (
    id       TEXT PRIMARY KEY,
    mandate  TEXT NOT NULL REFERENCES mandate (id),
    name     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    size     INTEGER NOT NULL,
    sha256   BLOB NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('waiting', 'clean', 'infected')),
    operator INTEGER NOT NULL,
    created  TEXT NOT NULL
) STRICT;
CREATE INDEX mandate_proof_mandate ON mandate_proof (mandate);
