package hand

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/citel-pa/citel/agent/autostart"
	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/hand/pages"
)

func (h *Hand) settings() (*pages.SettingsData, error) {
	s, err := h.Store.Settings()
	if err != nil {
		return nil, err
	}
	p, err := h.Store.Policy()
	if err != nil {
		return nil, err
	}
	d := &pages.SettingsData{Language: s.Language, LanguageLocked: p.Language != nil, ModulesLocked: p.Modules != nil, AutostartFixed: p.Autostart != nil,
		Trusted: []pages.Site{}, Blocked: []pages.Site{}, Modules: []pages.Module{}, Known: append([]string{}, h.KnownModules()...)}
	if p.Language != nil || p.Modules != nil || p.Autostart != nil || len(p.TrustedSites)+len(p.BlockedSites) > 0 {
		d.Policy = h.Store.PolicyPath()
	}
	d.Autostart, err = autostart.On()
	if d.AutostartNone = errors.Is(err, autostart.ErrNone); err != nil && !d.AutostartNone {
		return nil, err
	}
	for _, o := range p.TrustedSites {
		d.Trusted = append(d.Trusted, pages.Site{Origin: o, Locked: true})
	}
	for _, o := range p.BlockedSites {
		d.Blocked = append(d.Blocked, pages.Site{Origin: o, Locked: true})
	}
	sites, err := h.Store.Sites()
	if err != nil {
		return nil, err
	}
	for _, x := range sites {
		site := pages.Site{Origin: x.Origin, Since: x.Since.Local().Format("02/01/2006")}
		switch {
		case slices.Contains(p.BlockedSites, x.Origin), x.Decision == config.Remembered && slices.Contains(p.TrustedSites, x.Origin):
		case x.Decision == config.Remembered:
			d.Trusted = append(d.Trusted, site)
		default:
			d.Blocked = append(d.Blocked, site)
		}
	}
	for _, m := range s.Modules {
		v := pages.Module{Path: m.Path, Name: cmp.Or(m.Name, filepath.Base(m.Path)), State: h.text("module-there"), Good: true}
		if _, err := os.Stat(m.Path); err != nil {
			v.State, v.Good = h.text("module-gone"), false
		}
		d.Modules = append(d.Modules, v)
	}
	return d, nil
}

func (h *Hand) modulesLocked() error {
	p, err := h.Store.Policy()
	if err == nil && p.Modules != nil {
		err = h.say("is-locked")
	}
	return err
}

// checkTime bounds the start of a module that is to be added.
const checkTime = 30 * time.Second

func (h *Hand) moduleAdd(ctx context.Context, args map[string]string) (pages.Done, error) {
	if err := h.modulesLocked(); err != nil {
		return pages.Done{}, err
	}
	path := args["path"]
	if !filepath.IsAbs(path) {
		return pages.Done{}, h.say("module-absolute")
	}
	path = filepath.Clean(path)
	s, err := h.Store.Settings()
	if err != nil {
		return pages.Done{}, err
	}
	if slices.ContainsFunc(s.Modules, func(m config.Module) bool { return m.Path == path }) {
		return pages.Done{}, h.say("module-twice")
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if _, err := os.Stat(path); err != nil {
		return pages.Done{}, h.say("module-bad", "why", h.text("module-gone"))
	}
	if err := h.CheckModule(ctx, path); err != nil {
		return pages.Done{}, h.say("module-bad", "why", err)
	}
	name := filepath.Base(path)
	if err := h.Store.Change(func(s *config.Settings) { s.Modules = append(s.Modules, config.Module{Path: path, Name: name}) }); err != nil {
		return pages.Done{}, err
	}
	return pages.Done{Text: h.text("module-added", "name", name)}, nil
}

func (h *Hand) moduleRemove(_ context.Context, args map[string]string) (pages.Done, error) {
	if err := h.modulesLocked(); err != nil {
		return pages.Done{}, err
	}
	err := h.Store.Change(func(s *config.Settings) {
		s.Modules = slices.DeleteFunc(s.Modules, func(m config.Module) bool { return m.Path == args["path"] })
	})
	return pages.Done{Text: h.text("removed")}, err
}
