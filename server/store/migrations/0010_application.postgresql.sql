CREATE TRIGGER service_version_no_truncate BEFORE TRUNCATE ON service_version EXECUTE FUNCTION citel_refuse('a published service is not changed');
CREATE TRIGGER register_entry_no_truncate BEFORE TRUNCATE ON register_entry EXECUTE FUNCTION citel_refuse('the protocol register is not changed');
CREATE TRIGGER register_cancelled_no_truncate BEFORE TRUNCATE ON register_cancelled EXECUTE FUNCTION citel_refuse('the protocol register is not changed');
CREATE TRIGGER register_day_no_truncate BEFORE TRUNCATE ON register_day EXECUTE FUNCTION citel_refuse('the protocol register is not changed');
