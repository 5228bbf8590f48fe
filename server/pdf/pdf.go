// Package pdf is how the server's own documents look: the forms that citizens sign
// and the receipts that they keep, written by pkcs/typeset.
package pdf

import "github.com/citel-pa/citel/pkcs/typeset"

// The parts of a document, see pkcs/typeset.
type (
	Info     = typeset.Info
	Field    = typeset.Field
	Document = typeset.Document
)

// New begins a document.
func New(info Info) *Document { return typeset.New(info) }
