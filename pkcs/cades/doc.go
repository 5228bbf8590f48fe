// Package cades makes CAdES signatures (ETSI EN 319 122-1, baseline B) and reads
// them into facts that pkcs/validation judges. Reading judges nothing: a wrong
// digest is a fact like any other.
package cades
