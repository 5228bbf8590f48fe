package portal

// recordRoutes: the own record and family.
var recordRoutes = []route{} //nolint:gochecknoglobals // a table
