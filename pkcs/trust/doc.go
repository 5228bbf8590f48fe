// Package trust is where trust comes from: anchors with the profiles they are
// listed for, paths from a certificate to one of them, and revocation.
package trust
