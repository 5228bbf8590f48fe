-- What is bounded by number in a time (server/limit): a row for each one that was taken,
-- under a name that tells nobody whose it is.
CREATE TABLE quota (
    name TEXT NOT NULL,
    at   TEXT NOT NULL
) STRICT;
CREATE INDEX quota_name ON quota (name, at);
CREATE INDEX quota_at ON quota (at);

-- When it was said that a draft ends. It counts while nothing has changed since.
ALTER TABLE application ADD COLUMN reminded TEXT NOT NULL DEFAULT '';
CREATE INDEX application_draft ON application (changed) WHERE state IN ('draft', 'to-sign');
