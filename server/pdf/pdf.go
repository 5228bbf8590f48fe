// Package pdf is how the server's own documents look: the forms that citizens sign
// and the receipts that they keep, written by pkcs/typeset.
package pdf

import "github.com/citel-pa/citel/pkcs/typeset"

// Info is what a document says of itself.
type Info = typeset.Info

// Field is a label and its value.
type Field = typeset.Field

// Document is laid out as it is written.
type Document = typeset.Document

// New begins a document.
func New(info Info) *Document { return typeset.New(info) }
