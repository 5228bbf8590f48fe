package portal

// townRoutes: what every page of a town has: privacy, legal notes, feedback.
var townRoutes = []route{} //nolint:gochecknoglobals // a table
