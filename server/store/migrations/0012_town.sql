-- For whom somebody acts in a session: the mandate's id. It is asked again at each request,
-- and ends with the session's row, which each rise of level makes anew.
ALTER TABLE session ADD COLUMN mandate TEXT NOT NULL DEFAULT '';

-- What the portal's header, footer and notices say of an ente.
CREATE TABLE ente_public (
    ente    TEXT PRIMARY KEY,
    content TEXT NOT NULL -- JSON
) STRICT;

-- What people wrote of the portal's accessibility (L. 4/2004, art. 3-quater), and the answer.
CREATE TABLE feedback (
    id       TEXT PRIMARY KEY,
    ente     TEXT NOT NULL,
    number   INTEGER NOT NULL,
    page     TEXT NOT NULL,
    content  TEXT NOT NULL,
    tool     TEXT NOT NULL, -- browser and aid, as the person wrote it
    name     TEXT NOT NULL,
    email    TEXT NOT NULL,
    created  TEXT NOT NULL,
    due      TEXT NOT NULL, -- day
    answered TEXT NOT NULL DEFAULT '',
    answer   TEXT NOT NULL DEFAULT '',
    operator INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX feedback_number ON feedback (ente, number);
