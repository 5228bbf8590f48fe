package portal

// fileRoutes: applications that were sent: status, messages, receipt.
var fileRoutes = []route{} //nolint:gochecknoglobals // a table
