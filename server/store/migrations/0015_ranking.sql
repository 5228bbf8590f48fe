-- Texts of services that operators are writing, each the own one.
CREATE TABLE service_draft (
    ente     TEXT NOT NULL,
    service  TEXT NOT NULL,
    operator INTEGER NOT NULL,
    version  INTEGER NOT NULL, -- that it was begun from
    content  TEXT NOT NULL,
    changed  TEXT NOT NULL,
    PRIMARY KEY (ente, service, operator)
) STRICT;

CREATE TABLE service_off (
    ente     TEXT NOT NULL,
    service  TEXT NOT NULL,
    is_off   INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    operator INTEGER NOT NULL,
    changed  TEXT NOT NULL,
    PRIMARY KEY (ente, service)
) STRICT;

-- A call: the applications of a service that were sent in a span of days, put in order by
-- the rules of one version of it.
CREATE TABLE ranking_call (
    id      TEXT PRIMARY KEY,
    ente    TEXT NOT NULL,
    service TEXT NOT NULL,
    version INTEGER NOT NULL,
    title   TEXT NOT NULL,
    since   TEXT NOT NULL, -- days, both included
    until   TEXT NOT NULL,
    term    INTEGER NOT NULL, -- days in which an offer is answered
    shown   TEXT NOT NULL DEFAULT '', -- last day on which everybody sees the lists; empty: no end
    seed    TEXT NOT NULL, -- of the lots, drawn when the call was made, published with the lists
    created TEXT NOT NULL
) STRICT;
CREATE INDEX ranking_call_ente ON ranking_call (ente, service);

CREATE TABLE ranking_seat (
    call   TEXT NOT NULL REFERENCES ranking_call (id),
    school TEXT NOT NULL,
    hours  TEXT NOT NULL,
    seats  INTEGER NOT NULL,
    PRIMARY KEY (call, school, hours)
) STRICT;

-- What the office found of an answer (DPR 445/2000, art. 71), and who was excluded or
-- taken back; the newest row of a field counts. Field '' is the application as a whole.
CREATE TABLE ranking_check (
    call        TEXT NOT NULL REFERENCES ranking_call (id),
    application TEXT NOT NULL REFERENCES application (id),
    n           INTEGER NOT NULL,
    field       TEXT NOT NULL,
    declared    TEXT NOT NULL,
    verified    TEXT NOT NULL,
    reason      TEXT NOT NULL,
    operator    INTEGER NOT NULL,
    time        TEXT NOT NULL,
    PRIMARY KEY (call, application, n)
) STRICT;
CREATE TRIGGER ranking_check_no_update BEFORE UPDATE ON ranking_check BEGIN SELECT RAISE (ABORT, 'a check is not changed'); END;
CREATE TRIGGER ranking_check_no_delete BEFORE DELETE ON ranking_check BEGIN SELECT RAISE (ABORT, 'a check is not changed'); END;

CREATE TABLE ranking_list (
    call      TEXT NOT NULL REFERENCES ranking_call (id),
    n         INTEGER NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('provisional', 'final')),
    made      TEXT NOT NULL,
    operator  INTEGER NOT NULL,
    published TEXT NOT NULL DEFAULT '',
    file      TEXT NOT NULL DEFAULT '', -- the sealed PDF
    sha256    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (call, n)
) STRICT;

CREATE TABLE ranking_entry (
    call        TEXT NOT NULL,
    list        INTEGER NOT NULL,
    position    INTEGER NOT NULL, -- 0: excluded
    application TEXT NOT NULL REFERENCES application (id),
    code        TEXT NOT NULL,
    points      INTEGER NOT NULL,
    ties        TEXT NOT NULL, -- JSON
    lot         TEXT NOT NULL,
    hours       TEXT NOT NULL,
    wishes      TEXT NOT NULL, -- JSON
    school      TEXT NOT NULL, -- the place that the order gives; empty: waits
    PRIMARY KEY (call, list, application),
    FOREIGN KEY (call, list) REFERENCES ranking_list (call, n)
) STRICT;
CREATE INDEX ranking_entry_application ON ranking_entry (application);

CREATE TABLE ranking_offer (
    call        TEXT NOT NULL REFERENCES ranking_call (id),
    n           INTEGER NOT NULL,
    application TEXT NOT NULL REFERENCES application (id),
    school      TEXT NOT NULL,
    hours       TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('offered', 'accepted', 'renounced', 'expired', 'moved', 'ended')),
    made        TEXT NOT NULL,
    due         TEXT NOT NULL, -- last day for the answer
    answered    TEXT NOT NULL DEFAULT '',
    operator    INTEGER NOT NULL DEFAULT 0, -- who answered at the desk
    reason      TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (call, n)
) STRICT;
CREATE INDEX ranking_offer_application ON ranking_offer (application);
