package submission

import "context"

// Settle ends an application's notice as a transaction does that ended in err.
func (d *Desk) Settle(ctx context.Context, a *Application, err error) error {
	n, found := d.NoticeOf(ctx, a)
	if found != nil {
		return found
	}
	return d.settle(ctx, a, &stored{file: n.file, stamped: true}, func() (bool, error) { return true, err })
}
