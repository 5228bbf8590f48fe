package doctor

// Service is why PC/SC does not answer.
type Service int

// What was found. ServiceUnknown is where the system does not say.
const (
	ServiceUnknown Service = iota
	// ServiceMissing: it is not installed.
	ServiceMissing
	// ServiceStopped: it is installed and does not run.
	ServiceStopped
	// ServiceRefused: it runs, and sent us away: polkit lets only the session at the
	// screen use it.
	ServiceRefused
)
