package doctor_test

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/citel-pa/citel/agent/doctor"
)

func TestBrowserPolicies(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	root := fstest.MapFS{
		"etc/chromium/policies/managed/citel.json": file(`{"LoopbackNetworkAllowedForUrls":["https://a.example","https://b.example"],"LoopbackNetworkBlockedForUrls":["https://b.example"],
			"LocalNetworkAccessAllowedForUrls":["https://b.example","https://c.example"],"LocalNetworkAccessBlockedForUrls":["https://a.example","https://d.example"]}`),
		"etc/chromium/policies/managed/other.json":       file(`{"HomepageLocation":"https://x.example"}`),
		"etc/chromium/policies/managed/notes.txt":        file(`not a policy`),
		"etc/opt/edge/policies/managed/broken.json":      file(`{`),
		"etc/firefox/policies/policies.json":             file(`{"policies":{"LocalNetworkAccess":{"Enabled":true,"SkipDomains":["a.example"]}}}`),
		"usr/lib/firefox-esr/distribution/policies.json": file(`{"policies":{}}`),
	}
	got, err := doctor.BrowserPolicies(root)
	want := []doctor.BrowserPolicy{
		{Browser: "Chromium", File: "/etc/chromium/policies/managed/citel.json", Allowed: []string{"https://a.example", "https://c.example"}, Blocked: []string{"https://b.example", "https://d.example"}},
		{Browser: "Firefox", File: "/etc/firefox/policies/policies.json", Allowed: []string{"a.example"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err == nil {
		t.Error("a broken file is passed over in silence")
	}
	if got, err := doctor.BrowserPolicies(fstest.MapFS{}); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
}

func FuzzBrowserPolicies(f *testing.F) {
	f.Add([]byte(`{"LoopbackNetworkAllowedForUrls":["*"]}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = doctor.BrowserPolicies(fstest.MapFS{"etc/chromium/policies/managed/a.json": {Data: b}, "etc/firefox/policies/policies.json": {Data: b}})
	})
}
