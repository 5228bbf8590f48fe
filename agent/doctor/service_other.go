//go:build !linux

package doctor

import "context"

// PCSC: the system's own service says nothing more.
func PCSC(context.Context) Service { return ServiceUnknown }
