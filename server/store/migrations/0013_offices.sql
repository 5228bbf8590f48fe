-- Where an operator works: an office's name, as services and applications have it.
-- Without a row: everywhere in the ente.
CREATE TABLE operator_office (
    operator INTEGER NOT NULL REFERENCES operator (id),
    office   TEXT NOT NULL,
    assigned TEXT NOT NULL,
    by       INTEGER NOT NULL,
    PRIMARY KEY (operator, office)
) STRICT;

-- An ente's own way from what was chosen in a form to an office, before the service's.
CREATE TABLE office_route (
    ente     TEXT NOT NULL,
    service  TEXT NOT NULL,
    value    TEXT NOT NULL,
    office   TEXT NOT NULL,
    changed  TEXT NOT NULL,
    operator INTEGER NOT NULL,
    PRIMARY KEY (ente, service, value)
) STRICT;

-- The answer as a sealed document; registered as it is sent.
CREATE TABLE application_answer (
    application TEXT PRIMARY KEY REFERENCES application (id),
    file        TEXT NOT NULL,
    sha256      BLOB NOT NULL,
    year        INTEGER NOT NULL,  -- of the number; 0: the ente's own system has it
    number      INTEGER NOT NULL,
    made        TEXT NOT NULL,
    stamped     INTEGER NOT NULL
) STRICT;
CREATE TRIGGER application_answer_no_update BEFORE UPDATE ON application_answer BEGIN SELECT RAISE (ABORT, 'an answer is not changed'); END;
CREATE TRIGGER application_answer_no_delete BEFORE DELETE ON application_answer BEGIN SELECT RAISE (ABORT, 'an answer is not changed'); END;
CREATE INDEX application_holder ON application (ente, holder);
