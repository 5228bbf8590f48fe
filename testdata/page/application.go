package page

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var (
	hidden  = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
	atDraft = regexp.MustCompile(`^/pratiche/([0-9a-f]{32})/(passo/\d+|allegati|riepilogo|firma)$`)
)

// Send fills in the form of a page, with the hidden fields that are in it, sends it to an
// address and gives the one that it leads to.
func (s *Site) Send(ctx context.Context, page, path string, fields map[string]string) (string, error) {
	body, _, err := s.Get(ctx, page)
	if err != nil {
		return "", err
	}
	v := url.Values{}
	for _, m := range hidden.FindAllSubmatch(body, -1) {
		v.Set(string(m[1]), string(m[2]))
	}
	for k, x := range fields {
		v.Set(k, x)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Base+path, strings.NewReader(v.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	_, last, err := s.do(req)
	return last, err
}

// Apply fills in a service's form step by step up to the page of the signatures, and
// accepts warnings and notice. It gives the application's id.
func (s *Site) Apply(ctx context.Context, service string, answers []url.Values) (id string, err error) {
	fields := map[string]string{"_vai": "avanti", "_script": "1"}
	for _, step := range answers {
		for k := range step {
			fields[k] = step.Get(k)
		}
	}
	at, err := s.Send(ctx, "/servizi/"+service+"/compila", "/servizi/"+service, fields)
	for range 20 {
		if err != nil {
			return "", err
		}
		m := atDraft.FindStringSubmatch(at)
		if m == nil {
			return "", fmt.Errorf("page: the form leads to %s", at)
		}
		id = m[1]
		switch m[2] {
		case "firma":
			return id, nil
		case "allegati":
			at = "/pratiche/" + id + "/riepilogo"
		case "riepilogo":
			at, err = s.Send(ctx, at, at, map[string]string{"privacy": "yes", "warned": "yes"})
		default:
			at, err = s.Send(ctx, at, at, fields)
		}
	}
	return "", fmt.Errorf("page: the form of %s has no end", service)
}

// Sign sends the signed document of an application and gives where it leads, and the
// protocol number.
func (s *Site) Sign(ctx context.Context, id string, signed []byte) (next, protocol string, err error) {
	csrf, err := s.CSRF(ctx, "/pratiche/"+id+"/firma")
	if err != nil {
		return "", "", err
	}
	var r struct{ Next, Protocol string }
	err = s.Post(ctx, "/api/pratiche/"+id+"/firma", "application/pkcs7-mime", signed, http.Header{"X-Csrf-Token": {csrf}}, &r)
	return r.Next, r.Protocol, err
}
