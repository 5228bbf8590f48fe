package ente

import (
	"context"
	"net/url"
	"strings"
)

// Route is where a request belongs.
type Route struct {
	Ente *Ente
	// Base is what stands before every path of the ente: "" where it has its origin to
	// itself, "/code" where it shares one.
	Base string
	Path string // the rest, which begins with "/"
	// Origin is the configured one, which nonces and tokens are bound to.
	Origin string
	// Among are the enti to choose from where the path names none.
	Among []*Ente
}

// RouteOf finds out which ente a request is for: by its host, which is compared with
// configured origins and never taken for one, and by the first part of its path where
// several share an origin. Ente is nil where the path names none of several; ErrNotFound
// where no origin has this host.
func (d *Directory) RouteOf(ctx context.Context, host, path, servers string) (*Route, error) {
	all, err := d.List(ctx, true)
	if err != nil {
		return nil, err
	}
	r := &Route{Path: path}
	for _, e := range all {
		origin := e.Origin
		if origin == "" {
			origin = servers
		}
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, host) {
			continue
		}
		r.Origin = origin
		r.Among = append(r.Among, e)
	}
	if len(r.Among) == 0 {
		return nil, ErrNotFound
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for _, e := range r.Among {
		if e.Code == first {
			r.Ente, r.Base, r.Path = e, "/"+e.Code, "/"+rest
			return r, nil
		}
	}
	if len(r.Among) == 1 {
		r.Ente = r.Among[0]
	}
	return r, nil
}
