-- The bodies that this server serves. "code" is the key of everything that is theirs.
CREATE TABLE ente (
    code          TEXT PRIMARY KEY,
    id_ente       TEXT NOT NULL DEFAULT '', -- the first system's
    name          TEXT NOT NULL,
    origin        TEXT NOT NULL DEFAULT '', -- empty: the server's
    color         TEXT NOT NULL DEFAULT '', -- #rrggbb
    arms          BLOB,                     -- PNG, made by us
    ipa           TEXT NOT NULL DEFAULT '',
    aoo           TEXT NOT NULL DEFAULT '',
    site          TEXT NOT NULL DEFAULT '',
    active        INTEGER NOT NULL DEFAULT 0,
    example       INTEGER NOT NULL DEFAULT 0,
    second_factor INTEGER NOT NULL DEFAULT 1,
    four_eyes     INTEGER NOT NULL DEFAULT 0,
    mail          TEXT NOT NULL DEFAULT '', -- JSON; the password is encrypted
    created       TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX ente_id ON ente (id_ente) WHERE id_ente <> '';

CREATE TABLE ente_switch (
    ente       TEXT NOT NULL REFERENCES ente (code),
    credential TEXT NOT NULL CHECK (credential IN ('debole', 'media')),
    kind       TEXT NOT NULL CHECK (kind IN ('citizen', 'company', 'professional')),
    enabled    INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    since      TEXT NOT NULL,
    PRIMARY KEY (ente, credential, kind)
) STRICT;

-- Whose envelopes open this body's data; its own always do.
CREATE TABLE ente_accepts (
    ente     TEXT NOT NULL REFERENCES ente (code),
    releaser TEXT NOT NULL REFERENCES ente (code),
    since    TEXT NOT NULL,
    PRIMARY KEY (ente, releaser)
) STRICT;

CREATE TABLE ente_office (
    id       INTEGER PRIMARY KEY,
    ente     TEXT NOT NULL REFERENCES ente (code),
    name     TEXT NOT NULL,
    address  TEXT NOT NULL DEFAULT '',
    phone    TEXT NOT NULL DEFAULT '',
    email    TEXT NOT NULL DEFAULT '',
    hours    TEXT NOT NULL DEFAULT '',
    place    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX ente_office_ente ON ente_office (ente);

CREATE TABLE ente_closed (
    ente   TEXT NOT NULL REFERENCES ente (code),
    day    TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (ente, day)
) STRICT;

-- Who works at a desk; without an ente: who runs the server. Not a citizen's account,
-- even where the person is the same.
CREATE TABLE operator (
    id          INTEGER PRIMARY KEY,
    ente        TEXT NOT NULL,
    code        TEXT NOT NULL,
    given       TEXT NOT NULL,
    family      TEXT NOT NULL,
    form        TEXT NOT NULL, -- JSON of the censimento
    state       TEXT NOT NULL CHECK (state IN ('invited', 'active', 'suspended', 'revoked')),
    secret      TEXT NOT NULL DEFAULT '',
    must_change INTEGER NOT NULL DEFAULT 0,
    factor      TEXT NOT NULL DEFAULT '' CHECK (factor IN ('', 'totp', 'card', 'none')),
    totp        BLOB,          -- encrypted
    totp_step   INTEGER NOT NULL DEFAULT 0,
    created     TEXT NOT NULL,
    created_by  INTEGER NOT NULL DEFAULT 0,
    changed     TEXT NOT NULL,
    seen        TEXT NOT NULL DEFAULT '',
    UNIQUE (ente, code)
) STRICT;

CREATE TABLE operator_role (
    operator INTEGER NOT NULL REFERENCES operator (id),
    role     TEXT NOT NULL,
    assigned TEXT NOT NULL,
    by       INTEGER NOT NULL,
    PRIMARY KEY (operator, role)
) STRICT;

-- What waits for a second operator.
CREATE TABLE pending (
    id       TEXT PRIMARY KEY,
    ente     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    payload  TEXT NOT NULL,
    asked_by INTEGER NOT NULL REFERENCES operator (id),
    asked    TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('open', 'granted', 'refused', 'expired')),
    decided_by INTEGER,
    decided  TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX pending_open ON pending (ente, state);

ALTER TABLE person ADD COLUMN professional INTEGER NOT NULL DEFAULT 0;
ALTER TABLE person ADD COLUMN dead TEXT NOT NULL DEFAULT '';

-- What an ente has written about a person. No other ente reads it.
CREATE TABLE record (
    person  INTEGER NOT NULL REFERENCES person (id),
    ente    TEXT NOT NULL,
    form    TEXT NOT NULL, -- JSON
    created TEXT NOT NULL,
    changed TEXT NOT NULL,
    PRIMARY KEY (person, ente)
) STRICT;
CREATE INDEX record_ente ON record (ente);

-- Codes that a person had before.
CREATE TABLE person_code (
    id       INTEGER PRIMARY KEY,
    person   INTEGER NOT NULL REFERENCES person (id),
    code     TEXT NOT NULL,
    until    TEXT NOT NULL,
    ente     TEXT NOT NULL,
    operator INTEGER NOT NULL,
    document TEXT NOT NULL,
    reason   TEXT NOT NULL
) STRICT;
CREATE INDEX person_code_person ON person_code (person);

CREATE TABLE credential (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('debole', 'media', 'forte')),
    ente        TEXT NOT NULL,          -- where it was released or registered
    person      INTEGER REFERENCES person (id), -- none: debole that nobody has proved
    handle      TEXT NOT NULL UNIQUE,   -- username, e-mail, or a certificate's SHA-256
    secret      TEXT NOT NULL DEFAULT '',
    must_change INTEGER NOT NULL DEFAULT 0,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'active', 'suspended', 'revoked', 'expired')),
    claim       TEXT NOT NULL DEFAULT '', -- a debole's claimed codice fiscale: proves nothing
    given       TEXT NOT NULL DEFAULT '',
    family      TEXT NOT NULL DEFAULT '',
    email       TEXT NOT NULL DEFAULT '',
    created     TEXT NOT NULL,
    changed     TEXT NOT NULL,
    expires     TEXT NOT NULL DEFAULT '',
    seen        TEXT NOT NULL DEFAULT '',
    joined      TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX credential_person ON credential (person);

-- Delays after wrong passwords. The key is a MAC of account or address.
CREATE TABLE attempt (
    name     TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    last     TEXT NOT NULL,
    until    TEXT NOT NULL
) STRICT;
CREATE INDEX attempt_last ON attempt (last);

-- One-time links, kept as a hash.
CREATE TABLE onetime (
    hash    BLOB PRIMARY KEY,
    purpose TEXT NOT NULL,
    ente    TEXT NOT NULL,
    subject TEXT NOT NULL,
    expires TEXT NOT NULL,
    used    TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX onetime_expires ON onetime (expires);

CREATE TABLE batch (
    id         TEXT PRIMARY KEY,
    ente       TEXT NOT NULL,
    size       INTEGER NOT NULL,
    printed_by INTEGER NOT NULL REFERENCES operator (id),
    printed    TEXT NOT NULL,
    confirmed  TEXT NOT NULL DEFAULT '',
    voided     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX batch_ente ON batch (ente);

CREATE TABLE envelope (
    code         TEXT PRIMARY KEY,
    ente         TEXT NOT NULL,
    batch        TEXT NOT NULL REFERENCES batch (id),
    state        TEXT NOT NULL CHECK (state IN ('void', 'printed', 'sent', 'handed-out', 'active', 'suspended', 'revoked', 'expired')),
    username     TEXT NOT NULL UNIQUE,
    secret       TEXT NOT NULL,            -- argon2id
    holder       TEXT NOT NULL DEFAULT '', -- argon2id of the code given at hand-out
    failures     INTEGER NOT NULL DEFAULT 0,
    person       INTEGER REFERENCES person (id),
    document     TEXT NOT NULL DEFAULT '', -- JSON
    title        TEXT NOT NULL DEFAULT '', -- a company's representative's
    handed_by    INTEGER,
    handed       TEXT NOT NULL DEFAULT '',
    credential   TEXT NOT NULL DEFAULT '',
    activated    TEXT NOT NULL DEFAULT '',
    reason       TEXT NOT NULL DEFAULT '',
    changed      TEXT NOT NULL,
    expires      TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX envelope_ente ON envelope (ente, state);
CREATE INDEX envelope_batch ON envelope (batch);
CREATE INDEX envelope_person ON envelope (person);

-- Mail that is to go out. No personal data but the address.
CREATE TABLE outbox (
    id        TEXT PRIMARY KEY,
    ente      TEXT NOT NULL,
    recipient TEXT NOT NULL,
    kind      TEXT NOT NULL,
    link      TEXT NOT NULL DEFAULT '',
    number    TEXT NOT NULL DEFAULT '',
    state     TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed')),
    tries     INTEGER NOT NULL DEFAULT 0,
    next      TEXT NOT NULL,
    created   TEXT NOT NULL,
    error     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX outbox_next ON outbox (state, next);

ALTER TABLE session ADD COLUMN realm TEXT NOT NULL DEFAULT 'portal';
ALTER TABLE session ADD COLUMN operator INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN credential TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN releaser TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN pending TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN role TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN extended TEXT NOT NULL DEFAULT '';

-- Nonces of the login, so that any server process takes back what another gave.
CREATE TABLE nonce (
    hash    BLOB PRIMARY KEY,
    binding TEXT NOT NULL,
    origin  TEXT NOT NULL,
    expires TEXT NOT NULL,
    used    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX nonce_expires ON nonce (expires);
CREATE INDEX nonce_binding ON nonce (binding);

-- The log, one chain for each ente. The rows of before stay in "audit"; each chain begins
-- with its last MAC.
CREATE TABLE journal (
    ente       TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    time       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    operator   INTEGER NOT NULL,
    person     INTEGER NOT NULL,
    credential TEXT NOT NULL,
    address    TEXT NOT NULL,   -- shortened
    detail     TEXT NOT NULL,   -- JSON, nothing personal
    personal   BLOB NOT NULL,   -- SHA-256 of what is in journal_personal; empty for none
    key        TEXT NOT NULL,
    mac        BLOB NOT NULL,
    PRIMARY KEY (ente, seq)
) STRICT;
CREATE INDEX journal_person ON journal (person, time);
CREATE INDEX journal_operator ON journal (operator, time);
CREATE INDEX journal_time ON journal (ente, time);
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE (ABORT, 'the audit log is not changed'); END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE (ABORT, 'the audit log is not changed'); END;

-- Names and codes, apart, so that they can be erased and the chain still holds.
CREATE TABLE journal_personal (
    ente TEXT NOT NULL,
    seq  INTEGER NOT NULL,
    data TEXT NOT NULL,       -- JSON with a random salt
    PRIMARY KEY (ente, seq)
) STRICT;

CREATE TABLE journal_head (
    ente TEXT PRIMARY KEY,
    seq  INTEGER NOT NULL,
    mac  BLOB NOT NULL,
    key  TEXT NOT NULL,
    head BLOB NOT NULL        -- a MAC over ente, seq and mac: a cut at the end shows
) STRICT;

-- The day's signature over the end of a chain.
CREATE TABLE journal_day (
    ente TEXT NOT NULL,
    day  TEXT NOT NULL,
    seq  INTEGER NOT NULL,
    mac  BLOB NOT NULL,
    seal TEXT NOT NULL,
    PRIMARY KEY (ente, day)
) STRICT;
CREATE TRIGGER journal_day_no_update BEFORE UPDATE ON journal_day BEGIN SELECT RAISE (ABORT, 'the audit log is not changed'); END;
CREATE TRIGGER journal_day_no_delete BEFORE DELETE ON journal_day BEGIN SELECT RAISE (ABORT, 'the audit log is not changed'); END;
