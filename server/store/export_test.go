package store

// OpenOnly opens a database and runs some migrations alone.
var OpenOnly = openOnly
