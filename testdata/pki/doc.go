// Package pki makes the certificates that the tests and the demo use: a root,
// issuing CAs for CNS, CIE and qualified certificates, OCSP, timestamp and CRL
// material, citizens, and certificates that are wrong in one way each. Nothing
// of it is real: every certificate has O=CiTel TEST and a critical
// certificatePolicies extension with an OID of ours (pkcs/trust, TestPolicy).
//
// The profiles follow what real cards carry: the CNS authentication certificate
// (AgID, "Struttura certificato di autenticazione CNS"), the CIE's, and ETSI EN
// 319 412-2 and -5 for the qualified one.
package pki
