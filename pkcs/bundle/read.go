package bundle

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
)

// Archive is a bundle that was read, its form and limits checked.
type Archive struct {
	at    io.ReaderAt
	files map[string]*zip.File
	index index
	saved *verify.Saved
	// Fingerprint is the SHA-256 of the index.
	Fingerprint string
	// Changed lists the entries that are not what the index says, are missing, or are
	// not in it.
	Changed []string
	policy  *validation.Policy
	report  []byte
}

// Page is the report for people as the bundle has it, nil without one; Program is what
// made it.
func (a *Archive) Page() (html []byte, program string) {
	html, err := slurp(a.files[htmlName], maxPiece)
	if err != nil {
		return nil, a.index.Program
	}
	return html, a.index.Program
}

// Is tells whether a file begins like a ZIP archive with our index in it. It reads the
// archive's directory and no more.
func Is(r io.ReaderAt, size int64) bool {
	var head [4]byte
	if n, _ := r.ReadAt(head[:], 0); n < 4 || string(head[:]) != "PK\x03\x04" {
		return false
	}
	z, err := zip.NewReader(&bounded{r: r, left: maxDirectory}, size)
	if err != nil {
		return false
	}
	for _, f := range z.File {
		if f.Name == indexName {
			var x struct {
				Format string `json:"format"`
			}
			data, err := slurp(f, maxIndex)
			return err == nil && json.Unmarshal(data, &x) == nil && strings.HasPrefix(x.Format, "citel-bundle-")
		}
	}
	return false
}

// bounded lets only so many bytes be read: a directory of millions of entries stops there.
type bounded struct {
	r    io.ReaderAt
	left int64
}

// ReadAt reads while the bound lasts. What is read later, of entries, is not bounded
// here, see free.
func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	if b.left >= 0 {
		if b.left -= int64(len(p)); b.left < 0 {
			b.left = 0
			return 0, fmt.Errorf("%w: its directory is larger than %d bytes", ErrMalformed, maxDirectory)
		}
	}
	return b.r.ReadAt(p, off)
}

// free ends the bound.
func (b *bounded) free() { b.left = -1 }

// nameForm: no absolute paths, no "..", nothing that some system reads otherwise.
var nameForm = regexp.MustCompile(`^([a-z]{1,20}/)?[A-Za-z0-9][A-Za-z0-9_-]{0,60}(\.[A-Za-z0-9]{1,8})?$`)

// Read reads a bundle's directory, index, policy, report and saved facts, and compares
// every entry with the index.
func Read(r io.ReaderAt, size int64) (*Archive, error) {
	b := &bounded{r: r, left: maxDirectory}
	z, err := zip.NewReader(b, size)
	if err != nil {
		if errors.Is(err, ErrMalformed) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrNotBundle, err)
	}
	b.free()
	a := &Archive{at: r, files: map[string]*zip.File{}}
	if err := a.entries(z); err != nil {
		return nil, err
	}
	if err := a.readIndex(); err != nil {
		return nil, err
	}
	return a, a.readAll()
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// entries checks names, kinds and sizes as the directory tells them; slurp and compare
// hold the entries to it.
func (a *Archive) entries(z *zip.Reader) error {
	if len(z.File) > maxEntries {
		return malformed("%d entries, more than %d", len(z.File), maxEntries)
	}
	var total uint64
	documents := 0
	folded := map[string]bool{}
	for _, f := range z.File {
		low := strings.ToLower(f.Name)
		switch {
		case len(f.Name) > maxNameLen || !nameForm.MatchString(f.Name):
			return malformed("an entry is called %.60q", f.Name)
		case folded[low]:
			return malformed("two entries are called %q", f.Name)
		case !f.Mode().IsRegular():
			return malformed("%q is no file", f.Name)
		case f.Method != zip.Store && f.Method != zip.Deflate:
			return malformed("%q is packed by method %d", f.Name, f.Method)
		case f.Flags&1 != 0:
			return malformed("%q is encrypted", f.Name)
		case f.UncompressedSize64 > ratioFrom && f.UncompressedSize64/maxRatio > f.CompressedSize64:
			return malformed("%q would grow more than %d times", f.Name, maxRatio)
		}
		if strings.HasPrefix(f.Name, "signed/") {
			if documents++; documents > 2 || f.UncompressedSize64 > maxDocument {
				return malformed("%q is larger than %d bytes, or one too many", f.Name, int64(maxDocument))
			}
		} else if total += min(f.UncompressedSize64, maxPieces+1); total > maxPieces {
			return malformed("its evidence is larger than %d bytes", maxPieces)
		}
		folded[low] = true
		a.files[f.Name] = f
	}
	if a.files[indexName] == nil {
		return fmt.Errorf("%w: no %s in it", ErrNotBundle, indexName)
	}
	return nil
}

func slurp(f *zip.File, limit int64) ([]byte, error) {
	if f == nil {
		return nil, malformed("an entry is missing")
	}
	if f.UncompressedSize64 > uint64(limit) { //nolint:gosec // limits are positive
		return nil, malformed("%q is larger than %d bytes", f.Name, limit)
	}
	r, err := f.Open()
	if err != nil {
		return nil, malformed("%q: %v", f.Name, err)
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, malformed("%q: %v", f.Name, err)
	}
	if int64(len(data)) > limit {
		return nil, malformed("%q is larger than %d bytes", f.Name, limit)
	}
	return data, nil
}

func (a *Archive) readIndex() error {
	data, err := slurp(a.files[indexName], maxIndex)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&a.index); err != nil {
		return malformed("%s: %v", indexName, err)
	}
	switch x := &a.index; {
	case x.Format != Format:
		return malformed("its form is %.40q; this program reads %s", x.Format, Format)
	case x.Signed.Name == "" || x.Time.IsZero() || x.Clock.IsZero() || len(x.Anchors) > maxEntries || len(x.Evidence) > maxEntries || len(x.Entries) > maxEntries:
		return malformed("%s is not complete", indexName)
	}
	sum := sha256.Sum256(data)
	a.Fingerprint = hex.EncodeToString(sum[:])
	return nil
}

// readAll compares all entries with the index, and reads those that are needed.
func (a *Archive) readAll() error {
	listed := map[string]bool{indexName: true}
	for _, e := range a.index.Entries {
		if listed[e.Name] {
			return malformed("%s lists %.60q twice", indexName, e.Name)
		}
		listed[e.Name] = true
		f := a.files[e.Name]
		if f == nil {
			a.Changed = append(a.Changed, fmt.Sprintf("%.100q is missing", e.Name))
			continue
		}
		same, err := sameAs(f, &e)
		if err != nil {
			return err
		}
		if !same {
			a.Changed = append(a.Changed, fmt.Sprintf("%q is not what %s says", e.Name, indexName))
		}
	}
	for name := range a.files {
		if !listed[name] {
			a.Changed = append(a.Changed, fmt.Sprintf("%q is not in %s", name, indexName))
		}
	}
	for _, d := range []*document{&a.index.Signed, a.index.Content} {
		if d != nil && d.Entry != "" && (a.files[d.Entry] == nil || !strings.HasPrefix(d.Entry, "signed/")) {
			return malformed("the signed file is not in it, against what %s says", indexName)
		}
	}
	policy, err := slurp(a.files[policyName], maxIndex)
	if err == nil {
		a.policy, err = validation.ParsePolicy(policy)
	}
	if err != nil {
		return malformed("%s: %v", policyName, err)
	}
	facts, err := slurp(a.files[factsName], maxFacts)
	if err == nil {
		a.saved, err = verify.ReadSaved(bytes.NewReader(facts))
	}
	if err != nil {
		return malformed("%s: %v", factsName, err)
	}
	a.report, err = slurp(a.files[reportName], maxPiece)
	return err
}

// sameAs reads an entry to its end without keeping it.
func sameAs(f *zip.File, e *entry) (bool, error) {
	if e.Bytes < 0 || f.UncompressedSize64 != uint64(e.Bytes) {
		return false, nil
	}
	r, err := f.Open()
	if err != nil {
		return false, malformed("%q: %v", f.Name, err)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(r, e.Bytes+1))
	switch err = errors.Join(err, r.Close()); {
	case errors.Is(err, zip.ErrChecksum):
		return false, nil
	case err != nil:
		return false, malformed("%q: %v", f.Name, err)
	}
	return n == e.Bytes && hex.EncodeToString(sum.Sum(nil)) == strings.ToLower(e.SHA256), nil
}
