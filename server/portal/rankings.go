package portal

// rankingRoutes: rankings, published by code.
var rankingRoutes = []route{} //nolint:gochecknoglobals // a table
