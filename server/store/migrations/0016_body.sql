-- What a segnatura di protocollo and a receipt say of the body itself.
ALTER TABLE ente ADD COLUMN fiscal TEXT NOT NULL DEFAULT '';   -- codice fiscale, 11 digits
ALTER TABLE ente ADD COLUMN domicile TEXT NOT NULL DEFAULT ''; -- digital domicile, as the Indice PA has it
