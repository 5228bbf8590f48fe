package portal

import (
	"errors"

	"github.com/citel-pa/citel/server/download"
)

// downloads offers the agent: the package for the visitor's computer first, then all,
// each with its checksum.
func (p *Portal) downloads(r *request) error {
	if p.Downloads == nil {
		return errNotFound
	}
	release, err := p.Downloads.Release()
	if err != nil {
		return err
	}
	// The hint about the processor is given on request only (Client Hints Infrastructure).
	r.w.Header().Set("Accept-CH", "Sec-CH-UA-Arch")
	return r.render("download", "download.title", map[string]any{"Release": release, "Pick": release.Pick(r.r.Header)})
}

func (p *Portal) downloadFile(r *request) error {
	if p.Downloads == nil {
		return errNotFound
	}
	err := p.Downloads.Serve(r.w, r.r, r.r.PathValue("name"))
	if errors.Is(err, download.ErrNotFound) {
		return errNotFound
	}
	return err
}
