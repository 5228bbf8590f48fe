// Package cms is the encoding of CMS SignedData (RFC 5652), both ways and as a
// stream: memory does not grow with the document. It reads BER as it is found in
// the field (indefinite lengths, constructed strings, base64 and PEM around it)
// and writes DER. It keeps the bytes as received, because signatures are over
// bytes, and judges nothing: what departs from the rules is a Fault beside the
// data.
//
// Certificate bags (.p7b, .p7c) go through go.mozilla.org/pkcs7; no signature
// does, for the reasons in ARCHITECTURE.md.
package cms
