package verification

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"os"
)

// upload is a multipart body: the part "file", and after it, for a detached signature,
// the part "content".
type upload struct {
	reader  *multipart.Reader
	signed  *os.File
	sha256  []byte // of the part "file"
	content io.Reader
	name    string
}

// openMultipart puts the part "file" aside, because what follows it is needed to judge
// it, and opens "content", which is read as it comes.
func openMultipart(body io.Reader, boundary, dir string) (_ *upload, err error) {
	u := &upload{reader: multipart.NewReader(body, boundary)}
	part, err := u.reader.NextPart()
	if err != nil {
		return nil, badMultipart(err)
	}
	if part.FormName() != "file" {
		return nil, fail("bad-multipart", fmt.Errorf("the first part is called %.40q", part.FormName()))
	}
	u.name = part.FileName()
	if u.signed, err = os.CreateTemp(dir, "citel-upload-*"); err != nil {
		return nil, fmt.Errorf("verification: %w", err)
	}
	defer func() {
		if err != nil {
			u.close()
		}
	}()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(u.signed, sum), part)
	if err != nil {
		return nil, badMultipart(err)
	}
	if n == 0 {
		return nil, fail("empty", nil)
	}
	u.sha256 = sum.Sum(nil)
	if _, err = u.signed.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("verification: %w", err)
	}
	next, err := u.reader.NextPart()
	switch {
	case errors.Is(err, io.EOF):
		return u, nil
	case err != nil:
		return nil, badMultipart(err)
	case next.FormName() != "content":
		return nil, fail("bad-multipart", fmt.Errorf("the second part is called %.40q", next.FormName()))
	}
	u.content = next
	return u, nil
}

// finish reads to the end: there is nothing after the second part.
func (u *upload) finish() error {
	if u.content != nil {
		if _, err := io.Copy(io.Discard, u.content); err != nil {
			return badMultipart(err)
		}
		if _, err := u.reader.NextPart(); !errors.Is(err, io.EOF) {
			return fail("bad-multipart", errors.New("a third part"))
		}
	}
	return nil
}

func (u *upload) close() {
	_ = u.signed.Close() // read only from here on
	_ = os.Remove(u.signed.Name())
}

func badMultipart(err error) error { return fail("bad-multipart", err) }
