-- Applications whose signer's certificate could not be asked about when they arrived.
ALTER TABLE submission ADD COLUMN to_check INTEGER NOT NULL DEFAULT 0;
