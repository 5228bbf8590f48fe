package verification_test

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/verification"
)

// contract holds what handlers answer to what openapi.json says.
type contract struct {
	doc  map[string]any
	seen map[string]bool
}

func newContract(t testing.TB) *contract {
	t.Helper()
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{seen: map[string]bool{}}
	if err := json.Unmarshal(data, &c.doc); err != nil {
		t.Fatal(err)
	}
	if c.doc["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", c.doc["openapi"])
	}
	return c
}

func at(v any, path ...string) any {
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

// check compares one answer. Paths and methods that the document does not name have
// the problems 404 and 405, by its own schema.
func (c *contract) check(t testing.TB, method string, resp *http.Response, body []byte) {
	t.Helper()
	path := resp.Request.URL.Path
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return
	}
	operation := at(c.doc, "paths", path, strings.ToLower(method))
	var schema any
	if operation == nil {
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s %s is not in the document and answers %s", method, path, resp.Status)
		}
		schema = at(c.doc, "components", "schemas", "Problem")
	} else {
		status := fmt.Sprint(resp.StatusCode)
		answer := at(operation, "responses", status)
		if answer == nil {
			t.Errorf("%s %s: %s is not in the document", method, path, status)
			return
		}
		headers, _ := at(answer, "headers").(map[string]any)
		for name, h := range headers {
			if at(h, "required") == true && resp.Header.Get(name) == "" {
				t.Errorf("%s %s: %s without %s", method, path, status, name)
			}
		}
		if schema = at(answer, "content", kind, "schema"); schema == nil {
			t.Errorf("%s %s: %s as %s is not in the document", method, path, status, kind)
			return
		}
		c.seen[method+" "+path+" "+status+" "+kind] = true
	}
	if strings.HasSuffix(kind, "json") {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
			return
		}
		for _, problem := range c.against(schema, v, "$") {
			t.Errorf("%s %s %d: %s", method, path, resp.StatusCode, problem)
		}
	}
}

// against is as much of JSON Schema as the document uses.
func (c *contract) against(schema, v any, where string) (out []string) {
	s, ok := schema.(map[string]any)
	if !ok {
		return []string{where + ": no schema"}
	}
	if ref, ok := s["$ref"].(string); ok {
		return c.against(at(c.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...), v, where)
	}
	for key := range s {
		if !slices.Contains([]string{"type", "enum", "format", "description", "properties", "required", "additionalProperties", "items"}, key) {
			return []string{where + ": this test does not know " + key}
		}
	}
	kind := map[bool]string{true: "null"}[v == nil]
	switch x := v.(type) {
	case string:
		kind = "string"
		if s["format"] == "date-time" {
			if _, err := time.Parse(time.RFC3339, x); err != nil {
				out = append(out, where+": "+err.Error())
			}
		}
	case float64:
		kind = "integer"
		if x != float64(int64(x)) {
			kind = "number"
		}
	case []any:
		kind = "array"
		for i, e := range x {
			out = append(out, c.against(s["items"], e, fmt.Sprintf("%s[%d]", where, i))...)
		}
	case map[string]any:
		kind = "object"
		properties, _ := s["properties"].(map[string]any)
		for name, e := range x {
			if p, ok := properties[name]; ok {
				out = append(out, c.against(p, e, where+"."+name)...)
			} else if s["additionalProperties"] == false {
				out = append(out, where+"."+name+" is not in the document")
			}
		}
		required, _ := s["required"].([]any)
		for _, name := range required {
			if _, ok := x[name.(string)]; !ok {
				out = append(out, fmt.Sprintf("%s.%v is missing", where, name))
			}
		}
	}
	types, many := s["type"].([]any)
	if !many {
		types = []any{s["type"]}
	}
	if !slices.Contains(types, any(kind)) {
		out = append(out, fmt.Sprintf("%s is %s, not %v", where, kind, types))
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		out = append(out, fmt.Sprintf("%s: %v is none of %v", where, v, enum))
	}
	return out
}

// complete tells which answers of the document nobody has seen.
func (c *contract) complete(t *testing.T) {
	t.Helper()
	var missing []string
	paths, _ := c.doc["paths"].(map[string]any)
	for path, methods := range paths {
		if !strings.HasPrefix(path, verification.Prefix) {
			t.Errorf("%s is outside of the interface", path)
		}
		for method, operation := range methods.(map[string]any) {
			answers, _ := at(operation, "responses").(map[string]any)
			for status, answer := range answers {
				kinds, _ := at(answer, "content").(map[string]any)
				for kind := range kinds {
					if name := strings.ToUpper(method) + " " + path + " " + status + " " + kind; !c.seen[name] {
						missing = append(missing, name)
					}
				}
			}
		}
	}
	sort.Strings(missing)
	if len(missing) > 0 {
		t.Errorf("never answered:\n%s", strings.Join(missing, "\n"))
	}
}
