// Package pades reads the signatures of a PDF into facts that pkcs/validation judges,
// and makes PAdES signatures (ETSI EN 319 142-1, baseline B-B and B-T) as increments,
// so that a signature that is there keeps its bytes. Reading judges nothing.
package pades
