package portal

// mandateRoutes: acting for another.
var mandateRoutes = []route{} //nolint:gochecknoglobals // a table
