// Package xmldsig reads XML as canonicalisation needs it, writes Canonical XML 1.0 and
// Exclusive Canonical XML 1.0, and checks XML signatures (W3C XML Signature Syntax and
// Processing 1.1).
//
// encoding/xml is not used: it hides what a signature is over (prefixes, attribute
// white space, line ends) and takes what must be refused (undeclared prefixes,
// duplicate attributes). What was signed is read from the very nodes that were
// digested; nothing is written out and parsed again.
package xmldsig
