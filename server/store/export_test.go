package store

// OpenVersion opens a database and migrates it up to a version alone.
var OpenVersion = openVersion
