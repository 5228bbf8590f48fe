package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/lists"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// lotlFlags name the list of lists that the server keeps up to date.
type lotlFlags struct {
	source      string
	signer      []string
	territories []string
}

func (f *lotlFlags) add(x *pflag.FlagSet) {
	x.StringVar(&f.source, "lotl", "", "the EU's list of trusted lists, FILE or address ("+lists.Location+"): its services are trusted, and kept up to date")
	x.StringArrayVar(&f.signer, "lotl-signer", nil, "who signs --lotl, PEM certificates or SHA-256 in a file, in place of those of the EU's Official Journal (repeatable)")
	x.StringSliceVar(&f.territories, "territory", nil, "countries whose lists are used with --lotl, or all (else IT)")
}

// openLists reads what was kept of the trusted lists. What is wrong with them is told
// and does not stop the server: the refresh in the background may mend it.
func (s *server) openLists(ctx context.Context) error {
	f := s.flags.lotl
	if f.source == "" {
		return nil
	}
	s.lists = &lists.Loader{
		Store: s.trust, Source: f.source, Territories: f.territories, Log: s.log, Dir: filepath.Join(s.flags.data, "trusted-lists"),
		Fetch: &trust.Fetcher{Private: s.fetcher.Private, Timeout: time.Minute},
	}
	if len(f.signer) > 0 {
		signers, err := command.ReadSigners(f.signer)
		if err != nil {
			return err
		}
		s.lists.Signers = signers
	}
	if err := s.lists.Load(ctx); err != nil {
		s.log.Info("trusted lists are not there yet", "error", err)
	}
	s.registry.MustRegister(listMetrics{s.lists})
	return nil
}

// refreshLists runs until the server ends.
func (s *server) refreshLists(ctx context.Context) {
	if s.lists == nil {
		return
	}
	s.lists.Run(ctx, func(err error) {
		if err != nil {
			s.log.Warn("trusted lists could not be refreshed; the last good ones stay", "error", err)
		}
	})
}

// listMetrics tells how the lists are doing when somebody asks.
type listMetrics struct{ lists *lists.Loader }

var (
	listSequence = prometheus.NewDesc("citel_trusted_list_sequence", "Sequence number of the trusted list in use.", []string{"list"}, nil)
	listNext     = prometheus.NewDesc("citel_trusted_list_next_update_seconds", "When the trusted list has to be replaced, Unix time; 0 if it is closed.", []string{"list"}, nil)
	listChecked  = prometheus.NewDesc("citel_trusted_list_checked_seconds", "When the trusted list was last seen to be the newest, Unix time.", []string{"list"}, nil)
	listServices = prometheus.NewDesc("citel_trusted_list_services", "Services of the trusted list in use.", []string{"list"}, nil)
	listProblem  = prometheus.NewDesc("citel_trusted_list_problem", "1 when the last refresh of the trusted list failed in a way that counts.", []string{"list"}, nil)
)

// Describe implements prometheus.Collector.
func (m listMetrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{listSequence, listNext, listChecked, listServices, listProblem} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (m listMetrics) Collect(c chan<- prometheus.Metric) {
	for _, s := range m.lists.States() {
		gauge := func(d *prometheus.Desc, v float64) {
			c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.Role)
		}
		gauge(listSequence, float64(s.Sequence))
		gauge(listNext, unix(s.NextUpdate))
		gauge(listChecked, unix(s.Checked))
		gauge(listServices, float64(s.Services))
		problem := 0.0
		if s.Problem != "" {
			problem = 1
		}
		gauge(listProblem, problem)
	}
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
