-- One account for a person over all enti; its key is kind and code.
CREATE TABLE person (
    id      INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL CHECK (kind IN ('person', 'company')),
    code    TEXT NOT NULL,
    given   TEXT NOT NULL,
    family  TEXT NOT NULL,
    created TEXT NOT NULL,
    UNIQUE (kind, code)
) STRICT;

-- A browser's session. Its id is kept as a hash: who reads the database gets no session.
CREATE TABLE session (
    hash        BLOB PRIMARY KEY,
    ente        TEXT NOT NULL,
    csrf        TEXT NOT NULL,
    level       INTEGER NOT NULL DEFAULT 0,
    person      INTEGER REFERENCES person (id),
    certificate BLOB,
    profile     TEXT NOT NULL DEFAULT '',
    fingerprint TEXT NOT NULL DEFAULT '',
    created     TEXT NOT NULL,
    seen        TEXT NOT NULL
) STRICT;
CREATE INDEX session_seen ON session (seen);

-- An application that is filled in and not sent yet.
CREATE TABLE draft (
    id       TEXT PRIMARY KEY,
    ente     TEXT NOT NULL,
    service  TEXT NOT NULL,
    person   INTEGER NOT NULL REFERENCES person (id),
    fields   TEXT NOT NULL,
    cosigner TEXT NOT NULL DEFAULT '',
    sha256   BLOB NOT NULL,
    created  TEXT NOT NULL
) STRICT;
CREATE INDEX draft_person ON draft (person, ente);

-- The protocol register: one count for each ente and year, without gaps.
CREATE TABLE register (
    ente TEXT NOT NULL,
    year INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (ente, year)
) STRICT;

CREATE TABLE submission (
    id       TEXT PRIMARY KEY,
    ente     TEXT NOT NULL,
    service  TEXT NOT NULL,
    draft    TEXT NOT NULL UNIQUE,
    person   INTEGER NOT NULL REFERENCES person (id),
    fields   TEXT NOT NULL,
    year     INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    received TEXT NOT NULL,
    sha256   BLOB NOT NULL,
    signers  TEXT NOT NULL,
    report   TEXT NOT NULL,
    facts    TEXT NOT NULL,
    seal     TEXT NOT NULL,
    test     INTEGER NOT NULL,
    UNIQUE (ente, year, number)
) STRICT;
CREATE INDEX submission_person ON submission (person, ente);

-- The log: each row carries a MAC over itself and the row before.
CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY,
    ente   TEXT NOT NULL,
    time   TEXT NOT NULL,
    kind   TEXT NOT NULL,
    person TEXT NOT NULL,
    detail TEXT NOT NULL,
    key    TEXT NOT NULL,
    mac    BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE (ABORT, 'the audit log is not changed'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'the audit log is not changed'); END;
