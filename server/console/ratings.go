package console

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/rating"
	"github.com/citel-pa/citel/server/role"
)

// seesRatings are those who keep what is rated, and those who write services.
var seesRatings = []role.Permission{role.RoutingRead, role.SchoolUse, role.RegistryWrite, role.PortalUse}

func init() {
	permitted(get, "/valutazioni", (*Console).ratings, seesRatings...)
}

// ratings are what people think of the services (Modello Comuni, C.SE.1.7): stars, the
// aspects, and what was written.
func (c *Console) ratings(r *request) error {
	all, err := c.Rooms.Ratings.Counts(r.ctx(), r.actor())
	if err != nil {
		return err
	}
	words, err := c.Rooms.Ratings.Words(r.ctx(), r.actor(), 100)
	if err != nil {
		return err
	}
	titles, err := c.serviceTitles(r)
	if err != nil {
		return err
	}
	title := func(id string) string {
		for _, o := range titles {
			if o.Value == id {
				return o.Text
			}
		}
		return id
	}
	figures := &table{ID: "ratings", Caption: r.T("valuation.figures"), Empty: r.T("console.none"), Head: r.words("valuation", "service", "n", "mean", "s1", "s2", "s3", "s4", "s5", "aspects")}
	for _, x := range all {
		var aspects []string
		for _, a := range append(append([]string{}, rating.Negative...), rating.Positive...) {
			if n := x.Aspects[a]; n > 0 {
				aspects = append(aspects, fmt.Sprintf("%s: %d", r.T("rating."+a), n))
			}
		}
		row := []cell{{Text: title(x.Service)}, {Text: strconv.Itoa(x.N())}, {Text: strings.Replace(fmt.Sprintf("%.1f", x.Mean()), ".", r.T("office.decimal"), 1)}}
		for _, n := range x.Stars {
			row = append(row, cell{Text: strconv.Itoa(n)})
		}
		figures.Rows = append(figures.Rows, append(row, cell{Text: strings.Join(aspects, "; ")}))
	}
	written := &table{ID: "words", Caption: r.T("valuation.words"), Empty: r.T("console.none"), Head: r.words("valuation", "month", "service", "one", "text")}
	for _, w := range words {
		written.Rows = append(written.Rows, []cell{{Text: monthOf(w.Month)}, {Text: title(w.Service)}, {Text: strconv.Itoa(w.Stars)}, {Text: w.Text}})
	}
	return r.page(http.StatusOK, "show", r.T("console.m-ratings"), data{"Intro": r.T("valuation.intro"), "Tables": []table{*figures, *written}})
}

// monthOf writes a stored month ("2026-11") as people do.
func monthOf(s string) string {
	t, err := time.Parse("2006-01", s)
	if err != nil {
		return s
	}
	return t.Format("01/2006")
}
