package portal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/login"
)

// place is an ente with the address that its pages are below.
type place struct {
	ente *ente.Ente
	base string // "" at the root of an origin, "/enti/SLUG" where the origin is shared
	desk *login.Desk
}

type placeKey struct{}

func placeOf(r *http.Request) *place {
	pl, _ := r.Context().Value(placeKey{}).(*place) // placed is in front of every page
	return pl
}

// below is where enti that share the server's origin have their pages. A fixed first word
// keeps a slug from ever hiding a page.
const below = "/enti/"

// placed finds whose pages an address means, and takes the ente's part off the path. The
// request's Host only chooses among configured origins; what tokens and links are bound to
// is configuration.
func (p *Portal) placed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pl, path, err := p.find(r)
		switch {
		case errors.Is(err, ente.ErrNotFound):
			path = "/-" // a page that there is none of, in the look of the server's ente
			if pl, err = p.at(r.Context(), p.Ente.Code); err == nil {
				break
			}
			fallthrough
		case err != nil:
			p.Log.Error("request failed", "path", r.URL.Path, "error", err)
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		if path == "" { // it has a better address
			http.Redirect(w, r, pl.base, http.StatusSeeOther)
			return
		}
		in := r.WithContext(context.WithValue(r.Context(), placeKey{}, pl))
		u := *r.URL
		u.Path, u.RawPath = path, ""
		in.URL = &u
		next.ServeHTTP(w, in)
	})
}

// find gives the place and the path in it; without a path, base is where it is instead.
func (p *Portal) find(r *http.Request) (*place, string, error) {
	ctx, path := r.Context(), r.URL.Path
	e, err := p.byHost(r)
	if err != nil {
		return nil, "", err
	}
	if e.Code != p.Ente.Code {
		pl, err := p.at(ctx, e.Code)
		return pl, path, err
	}
	rest, ok := strings.CutPrefix(path, below)
	if !ok {
		pl, err := p.at(ctx, p.Ente.Code)
		return pl, path, err
	}
	slug, rest, slash := strings.Cut(rest, "/")
	pl, err := p.at(ctx, slug)
	if err != nil {
		return nil, "", err
	}
	home := p.home0(pl.ente)
	if !slash || home != below+slug { // elsewhere, or without its slash
		// "//host" and "/\host" would be another site's address (WHATWG URL, 4.4, relative slash state).
		return &place{ente: pl.ente, base: home + "/" + (&url.URL{Path: strings.TrimLeft(rest, `/\`)}).EscapedPath()}, "", nil
	}
	return pl, "/" + rest, nil
}

// byHost is the ente whose own origin a request came to; the server's for all others.
func (p *Portal) byHost(r *http.Request) (*ente.Ente, error) {
	if main, err := url.Parse(p.Ente.Origin); err == nil && strings.EqualFold(main.Host, r.Host) {
		return &p.Ente, nil
	}
	all, err := p.Rooms.Enti.List(r.Context(), true)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		if u, err := url.Parse(e.Origin); err == nil && e.Origin != "" && e.Origin != p.Ente.Origin && strings.EqualFold(u.Host, r.Host) {
			return e, nil
		}
	}
	return &p.Ente, nil
}

// home0 is the address of an ente's pages without a slash at the end, as seen from the
// server's own origin.
func (p *Portal) home0(e *ente.Ente) string {
	switch {
	case e.Code == p.Ente.Code:
		return ""
	case e.Origin == "" || e.Origin == p.Ente.Origin:
		return below + e.Code
	}
	return e.Origin
}

// address is home0 as seen from where the request is: an ente with an origin of its own
// names the server's in full.
func (r *request) address(e *ente.Ente) string {
	home := r.p.home0(e)
	if r.ente.Origin != r.p.Ente.Origin && !strings.Contains(home, "://") {
		if e.Code == r.ente.Code {
			return ""
		}
		return r.p.Ente.Origin + home
	}
	if home == r.ente.Origin {
		return ""
	}
	return home
}

// at makes an ente's place.
func (p *Portal) at(ctx context.Context, code string) (*place, error) {
	e, err := p.Rooms.Enti.Get(ctx, code)
	if err != nil {
		return nil, err
	}
	pl := &place{ente: e, base: p.home0(e), desk: p.Desk}
	if e.Code == p.Ente.Code {
		e.Origin, e.Active = p.Ente.Origin, true
	}
	if strings.Contains(pl.base, "://") {
		pl.base = ""
	}
	if e.Origin == "" {
		e.Origin = p.Ente.Origin // tokens are bound to where the pages are
	}
	desk, validator := *p.Desk, *p.Desk.Validator
	validator.Origin = e.Origin
	desk.Ente, desk.Validator = *e, &validator
	pl.desk = &desk
	return pl, nil
}
