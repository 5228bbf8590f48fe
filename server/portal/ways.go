package portal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
)

// way is one of the credentials that an ente switches, as its pages show it.
type way struct {
	Kind  string
	Level session.Level
	On    []ente.Category
	Off   []off
}

// off is a kind of person whom a credential does not let in, why, and since when.
type off struct {
	Category ente.Category
	Reason   string
	Since    time.Time
}

// ways are debole and media.
func (r *request) ways() ([]way, error) {
	all, err := r.p.Rooms.Enti.Switches(r.ctx(), r.ente.Code)
	if err != nil {
		return nil, err
	}
	out := []way{{Kind: ente.Debole, Level: session.Debole}, {Kind: ente.Media, Level: session.Media}}
	for _, s := range all {
		for i := range out {
			switch {
			case out[i].Kind != s.Credential:
			case s.Enabled:
				out[i].On = append(out[i].On, s.Category)
			default:
				out[i].Off = append(out[i].Off, off{s.Category, r.why(s), s.Since})
			}
		}
	}
	return out, nil
}

// why is the reason of a switch. That of the law is not the same for all: no new
// credentials other than SPID, CIE and CNS for citizens since 28 February 2021, and none in
// use after 30 September 2021 (DL 76/2020, art. 24, 4); for companies and professionals
// from a day that a decree sets (CAD, art. 64, 3-bis, as DL 121/2021, art. 10, 7, has it).
func (r *request) why(s ente.Switch) string {
	switch s.Reason {
	case ente.ReasonLaw:
		if s.Category == ente.Citizen {
			return r.T("access.law-citizen")
		}
		return r.T("access.law-other")
	case ente.ReasonDemo:
		return r.T("access.demo")
	}
	return s.Reason
}

func tooSoon(err error) (time.Duration, bool) {
	var e *delay.TooSoonError
	if errors.As(err, &e) {
		return e.Wait, true
	}
	return 0, false
}

// over is the sentence of a bound that is reached: what happened, from when on it goes on,
// and what else can be done. Empty for other errors.
func (r *request) over(err error) string {
	var e *limit.OverError
	if !errors.As(err, &e) {
		return ""
	}
	return r.T("limit."+e.Rule.Code, "n", e.Rule.Most, "time", again(e.Again))
}

// overNow is that sentence before anything is sent; empty while there is room.
func (r *request) overNow(s *service.Version) (string, error) {
	err := r.apps().Over(r.ctx(), r.visitor(), s)
	if text := r.over(err); text != "" {
		return text, nil
	}
	return "", err
}

// again is the first whole minute from which on something can be done.
func again(t time.Time) string {
	return t.Add(time.Minute - 1).In(register.Rome()).Format("02/01/2006 15:04")
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// enti lists all, also those that nobody gets into yet, and says so.
func (p *Portal) enti(r *request) error {
	all, err := p.Rooms.Enti.List(r.ctx(), false)
	if err != nil {
		return err
	}
	type row struct {
		*ente.Ente
		Address, Arms string
	}
	var rows []row
	for _, e := range all {
		x := row{Ente: e, Address: r.address(e) + "/"}
		if e.HasArms {
			x.Arms = r.address(e) + "/stemma.png"
		}
		if e.Code == p.Ente.Code {
			x.Active = true
		}
		rows = append(rows, x)
	}
	return r.render("enti", "access.enti-title", map[string]any{"Enti": rows})
}

func (r *request) notActive() {
	r.status = http.StatusNotFound
	if r.r.URL.Path == "/" {
		r.status = http.StatusOK
	}
	if err := r.render("inattivo", "access.not-active-title", map[string]any{"Example": r.ente.Example}); err != nil {
		r.p.Log.Error("answer failed", "error", err)
	}
}

// credentials explains the three credentials and where they are to be had in this town.
func (p *Portal) credentials(r *request) error {
	ways, err := r.ways()
	if err != nil {
		return err
	}
	offices, err := p.Rooms.Enti.Offices(r.ctx(), r.ente.Code)
	if err != nil {
		return err
	}
	return r.render("credenziali", "access.credentials-title", map[string]any{"Ways": ways, "Offices": offices})
}

func (p *Portal) arms(r *request) error {
	png, err := p.Rooms.Enti.Arms(r.ctx(), r.ente.Code)
	if errors.Is(err, ente.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return r.file(io.NopCloser(bytes.NewReader(png)), "image/png", "inline", "stemma.png")
}

// colour is the ente's own, as a style sheet: the pages' policy allows none in a page.
func (p *Portal) colour(r *request) error {
	r.w.Header().Set("Content-Type", "text/css; charset=utf-8")
	if c := r.ente.Color; c != "" { // #rrggbb, checked when it was set
		_, _ = fmt.Fprint(r.w, ente.Style(c))
	}
	return nil
}
