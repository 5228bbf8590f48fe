CREATE TRIGGER application_answer_no_truncate BEFORE TRUNCATE ON application_answer EXECUTE FUNCTION citel_refuse('an answer is not changed');
