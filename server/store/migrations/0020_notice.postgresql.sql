CREATE TRIGGER application_notice_no_truncate BEFORE TRUNCATE ON application_notice EXECUTE FUNCTION citel_refuse('a notice is not changed');
CREATE TRIGGER application_observation_no_truncate BEFORE TRUNCATE ON application_observation EXECUTE FUNCTION citel_refuse('an observation is not changed');
