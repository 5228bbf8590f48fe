package ente_test

import (
	"errors"
	"testing"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/testdata/town"
)

func TestRoutes(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		// "prova" and "altro" share the server's origin; a third has its own.
		if _, err := tn.Enti.Ensure(t.Context(), ente.Ente{Code: "terzo", Name: "Comune Terzo", Origin: "https://terzo.example"}); err != nil {
			t.Fatal(err)
		}
		const servers = "http://127.0.0.1:8480"
		for _, c := range []struct{ host, path, code, base, rest, origin string }{
			{"127.0.0.1:8480", "/prova/area", "prova", "/prova", "/area", servers},
			{"127.0.0.1:8480", "/altro", "altro", "/altro", "/", servers},
			{"127.0.0.1:8480", "/area", "", "", "/area", servers},
			{"127.0.0.1:8480", "/", "", "", "/", servers},
			{"127.0.0.1:8480", "/terzo/area", "", "", "/terzo/area", servers},
			{"TERZO.example", "/area", "terzo", "", "/area", "https://terzo.example"},
			{"terzo.example", "/terzo/area", "terzo", "/terzo", "/area", "https://terzo.example"},
			{"terzo.example", "/prova/area", "terzo", "", "/prova/area", "https://terzo.example"},
		} {
			r, err := tn.Enti.RouteOf(t.Context(), c.host, c.path, servers)
			if err != nil {
				t.Errorf("%+v: %v", c, err)
				continue
			}
			code := ""
			if r.Ente != nil {
				code = r.Ente.Code
			}
			if code != c.code || r.Base != c.base || r.Path != c.rest || r.Origin != c.origin {
				t.Errorf("%+v: %s %+v", c, code, r)
			}
		}
		for _, host := range []string{"evil.example", "", "127.0.0.1", "terzo.example:443"} {
			if r, err := tn.Enti.RouteOf(t.Context(), host, "/", servers); !errors.Is(err, ente.ErrNotFound) {
				t.Errorf("%q: %+v, %v", host, r, err)
			}
		}
	})
}
