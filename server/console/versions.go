package console

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/server/service"
)

func (c *Console) serviceVersions(r *request) error {
	e, err := r.edited()
	if err != nil {
		return err
	}
	all, err := c.Rooms.Services.Versions(r.ctx(), r.actor(), e.id)
	if err != nil {
		return err
	}
	path := Prefix + "/portale/" + e.id
	t := &table{ID: "versions", Caption: r.T("services.versions"), Empty: r.T("services.only-default"), Head: r.in("services", "h-version", "h-published", "h-who", "h-sha256", "h-compare")}
	var options []option
	for i, v := range all {
		n := fmt.Sprint(v.Number)
		options = append(options, option{n, n})
		row := []cell{{Text: n, Link: path + "/versioni/" + n}, {Text: moment(v.Published)}, {Text: r.operatorName(v.Operator)}, {Text: v.SHA256, Mono: true}}
		if i+1 < len(all) {
			row = append(row, cell{Text: r.T("services.compare-with", "n", all[i+1].Number), Link: fmt.Sprintf("%s/confronto?a=%d&da=%d", path, v.Number, all[i+1].Number)})
		}
		t.Rows = append(t.Rows, row)
	}
	d := data{"Table": t, "Links": []nextStep{{r.T("services.back"), path}}}
	if len(options) > 1 {
		d["FilterAction"] = path + "/confronto"
		d["Filter"] = []field{{Name: "da", Label: r.T("services.f-old"), Kind: "choice", Options: options, Value: options[1].Value}, {Name: "a", Label: r.T("services.f-new"), Kind: "choice", Options: options, Value: options[0].Value}}
	}
	return r.page(http.StatusOK, "list", r.T("services.versions-of", "service", e.id), d)
}

// versionOf reads one that the address names.
func (r *request) versionOf(e *edited, n string) (*service.Version, error) {
	number, err := strconv.Atoi(n)
	if err != nil {
		return nil, errNotFound
	}
	v, err := r.c.Rooms.Services.At(r.ctx(), r.actor().Ente, e.id, number)
	if errors.Is(err, service.ErrNotFound) {
		return nil, errNotFound
	}
	return v, err
}

func (c *Console) serviceVersion(r *request) error {
	e, err := r.edited()
	if err != nil {
		return err
	}
	v, err := r.versionOf(e, r.r.PathValue("n"))
	if err != nil {
		return err
	}
	return r.page(http.StatusOK, "version", r.T("services.version-title", "service", e.id, "n", v.Number), data{"Lines": strings.Split(strings.TrimSuffix(string(v.Text), "\n"), "\n"),
		"Facts": []fact{{Label: r.T("services.h-published"), Value: moment(v.Published)}, {Label: r.T("services.h-who"), Value: r.operatorName(v.Operator)}, {Label: r.T("services.h-sha256"), Value: v.SHA256, Mono: true}},
		"Links": []nextStep{{r.T("services.versions"), Prefix + "/portale/" + e.id + "/versioni"}}})
}

func (c *Console) serviceCompare(r *request) error {
	e, err := r.edited()
	if err != nil {
		return err
	}
	before, err := r.versionOf(e, r.query("da"))
	if err != nil {
		return err
	}
	after, err := r.versionOf(e, r.query("a"))
	if err != nil {
		return err
	}
	changes := numbered(service.Diff(before.Text, after.Text))
	return r.page(http.StatusOK, "diff", r.T("services.diff-title", "service", e.id), data{"Changes": changes, "Caption": r.T("services.diff-between", "from", before.Number, "to", after.Number),
		"Path": Prefix + "/portale/" + e.id + "/versioni", "Same": !changed(changes)})
}
