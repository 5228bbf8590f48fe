-- Scans of the documents that a desk saw when it granted a mandate.
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
