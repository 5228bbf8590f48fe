// Package lists reads trusted lists (ETSI TS 119 612, versions 5 and 6): the EU's list
// of lists (LOTL), whose signers the Official Journal names, and the national lists
// that it points to with the certificates of their signers. What they list becomes
// anchors of a trust.Store.
//
// A list counts only after its signature over the whole of it was checked against the
// certificates that were known before it. Its copy on disk is checked in the same way
// each time it is read.
package lists
