// Package softhsm makes SoftHSM stores with tokens that hold identities of
// testdata/pki, for tests, the demo and `make token`.
//
// SoftHSM reads its configuration from the environment when it is initialised,
// once for a process. So that a test may make as many stores as it likes and
// still use the module itself, tokens are loaded by another process: the running
// program is started again and, because a variable is set, does that and nothing
// else (loader.go).
package softhsm
