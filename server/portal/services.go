package portal

// formRoutes: services and the forms of their applications, from sheet to sending.
var formRoutes = []route{} //nolint:gochecknoglobals // a table
