CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit EXECUTE FUNCTION citel_refuse('the audit log is not changed');
CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON journal EXECUTE FUNCTION citel_refuse('the audit log is not changed');
CREATE TRIGGER journal_day_no_truncate BEFORE TRUNCATE ON journal_day EXECUTE FUNCTION citel_refuse('the audit log is not changed');
