package browser

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/installer/step"
)

// Registry is HKEY_LOCAL_MACHINE, or a fake in its place. Policies that are lists are
// keys with values named 1, 2, 3, ...: administrators share them.
type Registry interface {
	// Values of a key; none where it does not exist.
	Values(key string) (map[string]string, error)
	Set(key, name, value string) error
	// Delete a value; its key goes with the last one.
	Delete(key, name string) error
}

// Keys below HKEY_LOCAL_MACHINE. Chrome and Edge: as for AllowedForURLs; Chromium and
// Brave follow Chrome. Firefox: policy-templates, windows/firefox.admx.
var lists = []struct{ name, key string }{
	{"Chromium", `SOFTWARE\Policies\Chromium\` + AllowedForURLs},
	{"Chrome", `SOFTWARE\Policies\Google\Chrome\` + AllowedForURLs},
	{"Edge", `SOFTWARE\Policies\Microsoft\Edge\` + AllowedForURLs},
	{"Brave", `SOFTWARE\Policies\BraveSoftware\Brave\` + AllowedForURLs},
	{"Firefox", firefoxKey},
}

const (
	firefoxKey = `SOFTWARE\Policies\Mozilla\Firefox\LocalNetworkAccess\SkipDomains`
	recordKey  = `SOFTWARE\CiTel\BrowserPolicies`
)

// recorded are the values that we wrote, "key\name" to value.
func recorded(r Registry) (map[string]string, error) { return r.Values(recordKey) }

// SitesIn are the sites that the registry tells browsers of, as we wrote them.
func SitesIn(r Registry) ([]string, error) {
	values, err := recorded(r)
	if err != nil {
		return nil, err
	}
	var sites []string
	for name, v := range values {
		if strings.HasPrefix(name, "site ") {
			sites = append(sites, v)
		}
	}
	slices.Sort(sites)
	return sites, nil
}

// SetIn is Set for the registry: our values are added at free numbers, and taken out
// again only while they are what we wrote.
func SetIn(ctx context.Context, r Registry, sites []string) error {
	for _, x := range sites {
		if err := CheckSite(x); err != nil {
			return err
		}
	}
	sites = slices.Compact(slices.Sorted(slices.Values(sites)))
	before, err := SitesIn(r)
	if err != nil {
		return err
	}
	var steps []step.Step
	for _, l := range lists {
		steps = append(steps, list(r, l.name, l.key, before, sites))
	}
	if err := step.Apply(ctx, &step.System{}, steps); err != nil {
		return err
	}
	var errs []error
	for _, x := range before {
		if !slices.Contains(sites, x) {
			errs = append(errs, r.Delete(recordKey, "site "+x))
		}
	}
	for _, x := range sites {
		errs = append(errs, r.Set(recordKey, "site "+x, x))
	}
	return errors.Join(errs...)
}

func list(r Registry, name, key string, before, after []string) step.Step {
	entries := func(sites []string) []string {
		if key == firefoxKey {
			return hosts(sites)
		}
		var out []string
		for _, x := range sites {
			out = append(out, pattern(x))
		}
		return out
	}
	put := func(want []string) error {
		values, err := r.Values(key)
		if err != nil {
			return err
		}
		ours, err := recorded(r)
		if err != nil {
			return err
		}
		for n, v := range ours {
			at, ok := strings.CutPrefix(n, key+`\`)
			if !ok || slices.Contains(want, v) && values[at] == v {
				continue
			}
			if values[at] == v {
				if err := r.Delete(key, at); err != nil {
					return err
				}
				delete(values, at)
			}
			if err := r.Delete(recordKey, n); err != nil {
				return err
			}
		}
		for _, w := range want {
			if has(values, w) {
				continue
			}
			n := 1
			for values[strconv.Itoa(n)] != "" {
				n++
			}
			at := strconv.Itoa(n)
			// The record first: what is half done can be undone.
			if err := errors.Join(r.Set(recordKey, key+`\`+at, w), r.Set(key, at, w)); err != nil {
				return err
			}
			values[at] = w
		}
		return nil
	}
	return step.Step{
		Name: name,
		Check: func(context.Context, *step.System) (bool, error) {
			values, err := r.Values(key)
			if err != nil {
				return false, err
			}
			ours, err := recorded(r)
			if err != nil {
				return false, err
			}
			want := entries(after)
			for _, w := range want {
				if !has(values, w) {
					return false, nil
				}
			}
			for n, v := range ours {
				if strings.HasPrefix(n, key+`\`) && !slices.Contains(want, v) {
					return false, nil
				}
			}
			return true, nil
		},
		Do:   func(context.Context, *step.System) error { return put(entries(after)) },
		Undo: func(context.Context, *step.System) error { return put(entries(before)) },
	}
}

func has(values map[string]string, want string) bool {
	for _, v := range values {
		if v == want {
			return true
		}
	}
	return false
}
