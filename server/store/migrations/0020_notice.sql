-- The notice before a refusal (preavviso di rigetto, L. 241/1990, art. 10-bis). Days of Rome.
ALTER TABLE application ADD COLUMN noticed TEXT NOT NULL DEFAULT '';  -- since when the term stands still
ALTER TABLE application ADD COLUMN until TEXT NOT NULL DEFAULT '';    -- last for observations; empty: it is not known when the notice was received
ALTER TABLE application ADD COLUMN restarts TEXT NOT NULL DEFAULT ''; -- last on which the term stands still
ALTER TABLE application_answer ADD COLUMN outcome TEXT NOT NULL DEFAULT ''; -- granted, refused; empty: not asked for

CREATE TABLE application_notice (
    application TEXT PRIMARY KEY REFERENCES application (id),
    file        TEXT NOT NULL,
    sha256      BLOB NOT NULL,
    year        INTEGER NOT NULL,  -- of the number; 0: the ente's own system has it
    number      INTEGER NOT NULL,
    made        TEXT NOT NULL,
    stamped     INTEGER NOT NULL
) STRICT;
CREATE TRIGGER application_notice_no_update BEFORE UPDATE ON application_notice BEGIN SELECT RAISE (ABORT, 'a notice is not changed'); END;
CREATE TRIGGER application_notice_no_delete BEFORE DELETE ON application_notice BEGIN SELECT RAISE (ABORT, 'a notice is not changed'); END;

CREATE TABLE application_observation (
    application TEXT NOT NULL REFERENCES application (id),
    n           INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('written', 'none')),
    day         TEXT NOT NULL,     -- when they were presented
    operator    INTEGER NOT NULL,  -- who wrote down what came another way; 0: sent online
    file        TEXT NOT NULL,
    sha256      BLOB NOT NULL,
    year        INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    made        TEXT NOT NULL,
    stamped     INTEGER NOT NULL,
    PRIMARY KEY (application, n)
) STRICT;
CREATE TRIGGER application_observation_no_update BEFORE UPDATE ON application_observation BEGIN SELECT RAISE (ABORT, 'an observation is not changed'); END;
CREATE TRIGGER application_observation_no_delete BEFORE DELETE ON application_observation BEGIN SELECT RAISE (ABORT, 'an observation is not changed'); END;
