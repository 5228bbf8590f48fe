-- Services as data: what was published stays, an application is shown with its version.
CREATE TABLE service_version (
    ente      TEXT NOT NULL,
    service   TEXT NOT NULL,
    version   INTEGER NOT NULL,
    content   TEXT NOT NULL,
    sha256    TEXT NOT NULL,
    published TEXT NOT NULL,
    operator  INTEGER NOT NULL,
    PRIMARY KEY (ente, service, version)
) STRICT;
CREATE TRIGGER service_version_no_update BEFORE UPDATE ON service_version BEGIN SELECT RAISE (ABORT, 'a published service is not changed'); END;
CREATE TRIGGER service_version_no_delete BEFORE DELETE ON service_version BEGIN SELECT RAISE (ABORT, 'a published service is not changed'); END;

-- Who acts for whom. Both may be a person; a company is only acted for.
CREATE TABLE mandate (
    id        TEXT PRIMARY KEY,
    ente      TEXT NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('minor', 'ward', 'company', 'delegate')),
    principal INTEGER NOT NULL REFERENCES person (id),
    agent     INTEGER NOT NULL REFERENCES person (id),
    title     TEXT NOT NULL,
    scope     TEXT NOT NULL, -- services, with spaces between; empty: all that allow it
    since     TEXT NOT NULL, -- day
    until     TEXT NOT NULL, -- day; empty: until it is revoked
    proof     TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('asked', 'active', 'refused', 'revoked')),
    asked_by  INTEGER NOT NULL DEFAULT 0, -- a person
    operator  INTEGER NOT NULL DEFAULT 0,
    created   TEXT NOT NULL,
    changed   TEXT NOT NULL,
    reason    TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX mandate_agent ON mandate (agent, ente);
CREATE INDEX mandate_principal ON mandate (principal, ente);

CREATE TABLE application (
    id         TEXT PRIMARY KEY,
    ente       TEXT NOT NULL,
    service    TEXT NOT NULL,
    version    INTEGER NOT NULL,
    person     INTEGER NOT NULL,  -- whose it is; 0: a weak credential that nobody has proved
    agent      INTEGER NOT NULL DEFAULT 0,  -- who acts for that person
    mandate    TEXT NOT NULL DEFAULT '',
    credential TEXT NOT NULL DEFAULT '',
    operator   INTEGER NOT NULL DEFAULT 0,  -- assisted filing
    assisted   TEXT NOT NULL DEFAULT '',    -- paper, card, code
    level      INTEGER NOT NULL,
    session    TEXT NOT NULL DEFAULT '',    -- profile of the card that opened it
    state      TEXT NOT NULL,
    fields     TEXT NOT NULL,     -- JSON
    email      TEXT NOT NULL DEFAULT '',
    warned     TEXT NOT NULL DEFAULT '',    -- when the warnings of DPR 445/2000 were accepted
    privacy    TEXT NOT NULL DEFAULT '',    -- version of the notice
    sha256     BLOB,              -- of the document; with it nothing is changed any more
    sealed     TEXT NOT NULL DEFAULT '',    -- when the document was made
    office     TEXT NOT NULL DEFAULT '',
    letter     TEXT NOT NULL DEFAULT '',    -- of CAD, art. 65 c. 1
    year       INTEGER NOT NULL DEFAULT 0,
    number     INTEGER NOT NULL DEFAULT 0,
    outside    TEXT NOT NULL DEFAULT '',    -- number of an outside protocol system
    sent       TEXT NOT NULL DEFAULT '',
    due        TEXT NOT NULL DEFAULT '',    -- day
    paused     TEXT NOT NULL DEFAULT '',    -- since when the term stands still
    holder     INTEGER NOT NULL DEFAULT 0,  -- operator in charge
    answered   TEXT NOT NULL DEFAULT '',
    closed     TEXT NOT NULL DEFAULT '',
    test       INTEGER NOT NULL DEFAULT 0,
    created    TEXT NOT NULL,
    changed    TEXT NOT NULL
) STRICT;
CREATE INDEX application_person ON application (person, ente);
CREATE INDEX application_office ON application (ente, office, state);
CREATE UNIQUE INDEX application_number ON application (ente, year, number) WHERE number > 0;

-- What happened to an application, and what was written both ways.
CREATE TABLE application_step (
    application TEXT NOT NULL REFERENCES application (id),
    n           INTEGER NOT NULL,
    time        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    state       TEXT NOT NULL,
    operator    INTEGER NOT NULL,
    person      INTEGER NOT NULL,
    office      TEXT NOT NULL,
    content     TEXT NOT NULL,
    PRIMARY KEY (application, n)
) STRICT;

CREATE TABLE application_signature (
    application TEXT NOT NULL REFERENCES application (id),
    n           INTEGER NOT NULL,
    code        TEXT NOT NULL,  -- codice fiscale
    time        TEXT NOT NULL,
    file        TEXT NOT NULL,
    report      TEXT NOT NULL,
    facts       TEXT NOT NULL,
    to_check    INTEGER NOT NULL,
    PRIMARY KEY (application, n)
) STRICT;

CREATE TABLE application_file (
    id          TEXT PRIMARY KEY,
    application TEXT NOT NULL REFERENCES application (id),
    slot        TEXT NOT NULL,
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    size        INTEGER NOT NULL,
    sha256      BLOB NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'clean', 'infected')),
    threat      TEXT NOT NULL DEFAULT '',
    sent        INTEGER NOT NULL DEFAULT 0,
    created     TEXT NOT NULL
) STRICT;
CREATE INDEX application_file_application ON application_file (application);
CREATE INDEX application_file_waiting ON application_file (state);

-- The protocol register (DPR 445/2000, art. 53). Nothing in it is ever changed.
CREATE TABLE register_entry (
    ente      TEXT NOT NULL,
    year      INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    ipa       TEXT NOT NULL,
    aoo       TEXT NOT NULL,
    registry  TEXT NOT NULL,
    time      TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    party     TEXT NOT NULL,  -- sender, or recipients
    subject   TEXT NOT NULL,
    sha256    BLOB NOT NULL,
    document  TEXT NOT NULL,  -- what it belongs to
    origin    TEXT NOT NULL DEFAULT '',  -- date and number of the document received, if known
    emergency TEXT NOT NULL DEFAULT '',  -- number in the emergency register
    seal      TEXT NOT NULL,
    PRIMARY KEY (ente, year, number)
) STRICT;
CREATE INDEX register_entry_time ON register_entry (ente, time);
CREATE INDEX register_entry_document ON register_entry (document);
CREATE TRIGGER register_entry_no_update BEFORE UPDATE ON register_entry BEGIN SELECT RAISE (ABORT, 'the protocol register is not changed'); END;
CREATE TRIGGER register_entry_no_delete BEFORE DELETE ON register_entry BEGIN SELECT RAISE (ABORT, 'the protocol register is not changed'); END;

-- Cancellations: the entry stays readable (art. 54).
CREATE TABLE register_cancelled (
    ente     TEXT NOT NULL,
    year     INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    time     TEXT NOT NULL,
    operator INTEGER NOT NULL,
    author   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (ente, year, number)
) STRICT;
CREATE TRIGGER register_cancelled_no_update BEFORE UPDATE ON register_cancelled BEGIN SELECT RAISE (ABORT, 'the protocol register is not changed'); END;
CREATE TRIGGER register_cancelled_no_delete BEFORE DELETE ON register_cancelled BEGIN SELECT RAISE (ABORT, 'the protocol register is not changed'); END;

-- The emergency register (art. 63): opened with its cause, filled from paper, and then
-- each entry gets an ordinary number too.
CREATE TABLE register_emergency (
    ente     TEXT NOT NULL,
    id       INTEGER NOT NULL,
    cause    TEXT NOT NULL,
    opened   TEXT NOT NULL,
    closed   TEXT NOT NULL DEFAULT '',
    last     INTEGER NOT NULL DEFAULT 0,
    operator INTEGER NOT NULL,
    PRIMARY KEY (ente, id)
) STRICT;

CREATE TABLE register_day (
    ente    TEXT NOT NULL,
    day     TEXT NOT NULL,
    entries INTEGER NOT NULL,
    data    TEXT NOT NULL,   -- name of the file
    sha256  TEXT NOT NULL,   -- of the data
    document TEXT NOT NULL,  -- the sealed PDF
    made    TEXT NOT NULL,
    PRIMARY KEY (ente, day)
) STRICT;
CREATE TRIGGER register_day_no_update BEFORE UPDATE ON register_day BEGIN SELECT RAISE (ABORT, 'the protocol register is not changed'); END;
CREATE TRIGGER register_day_no_delete BEFORE DELETE ON register_day BEGIN SELECT RAISE (ABORT, 'the protocol register is not changed'); END;

-- Certificates of the seals that receipts and registers carry. Keys are in the ring.
CREATE TABLE seal_certificate (
    ente  TEXT NOT NULL,
    key   TEXT NOT NULL,
    der   BLOB NOT NULL,
    made  TEXT NOT NULL,
    PRIMARY KEY (ente, key)
) STRICT;

-- Packages for conservazione.
CREATE TABLE deposit (
    ente         TEXT NOT NULL,
    name         TEXT NOT NULL,
    file         TEXT NOT NULL,
    sha256       TEXT NOT NULL,
    documents    INTEGER NOT NULL,
    made         TEXT NOT NULL,
    handed       TEXT NOT NULL DEFAULT '',
    acknowledged TEXT NOT NULL DEFAULT '',
    answer       TEXT NOT NULL DEFAULT '',
    error        TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (ente, name)
) STRICT;

-- What was registered before.
INSERT INTO register_entry (ente, year, number, ipa, aoo, registry, time, direction, party, subject, sha256, document, origin, emergency, seal)
    SELECT s.ente, s.year, s.number, '', '', 'PROT', s.received, 'in', p.given || ' ' || p.family || ', ' || p.code, s.service, s.sha256, s.id, '', '', ''
    FROM submission s JOIN person p ON p.id = s.person;
