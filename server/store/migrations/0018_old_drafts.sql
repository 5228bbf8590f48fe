-- Drafts of before services were data. Nobody can see or finish them any more, and what
-- people typed is kept no longer than it is needed (GDPR, art. 5 c. 1 e).
INSERT INTO file_garbage (name, since) SELECT 'drafts/' || id || '.pdf', created FROM draft WHERE true ON CONFLICT (name) DO NOTHING;
DELETE FROM file_piece WHERE file IN (SELECT f.id FROM file f JOIN draft d ON f.name = 'drafts/' || d.id || '.pdf');
DELETE FROM file WHERE name IN (SELECT 'drafts/' || d.id || '.pdf' FROM draft d);
DELETE FROM draft;
