-- The category that somebody registered in, until a person is proved; and a name for the
-- network of the last login, so that one from elsewhere is told of.
ALTER TABLE credential ADD COLUMN category TEXT NOT NULL DEFAULT 'citizen';
ALTER TABLE credential ADD COLUMN seen_from TEXT NOT NULL DEFAULT '';
