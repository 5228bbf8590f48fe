CREATE TRIGGER ranking_check_no_truncate BEFORE TRUNCATE ON ranking_check EXECUTE FUNCTION citel_refuse('a check is not changed');
