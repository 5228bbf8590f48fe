package ente

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif"  // decoders of what may be uploaded; vector images are not
	_ "image/jpeg" //
	"image/png"
	"math"
	"strconv"

	"github.com/citel-pa/citel/server/role"
)

// Limits of arms: bytes and pixels that come in, and the side of what is kept.
const (
	MaxArms       = 2 << 20
	maxArmsPixels = 16 << 20
	armsSide      = 512
)

// SetArms keeps the arms of the operator's ente: a PNG, JPEG or GIF that is read, made
// smaller and written anew as PNG, so that nothing but its pixels stays.
func (d *Directory) SetArms(ctx context.Context, a role.Actor, ente string, data []byte) error {
	if err := role.Check(a, ente, role.InfrastructureWrite); err != nil {
		return err
	}
	small, err := redraw(data)
	if err != nil {
		return err
	}
	return d.change(ctx, a, ente, map[string]string{"arms": strconv.Itoa(len(small)) + " bytes"}, "UPDATE ente SET arms = ? WHERE code = ?", small, ente)
}

// Arms gives the PNG; ErrNotFound without one.
func (d *Directory) Arms(ctx context.Context, ente string) ([]byte, error) {
	var b []byte
	err := d.Store.QueryRowContext(ctx, "SELECT arms FROM ente WHERE code = ?", ente).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) || err == nil && len(b) == 0 {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("ente: %w", err)
	}
	return b, nil
}

func redraw(data []byte) ([]byte, error) {
	if len(data) > MaxArms {
		return nil, invalid("the picture is larger than %d MiB", MaxArms>>20)
	}
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, invalid("the picture is no PNG, JPEG or GIF")
	}
	if c.Width < 16 || c.Height < 16 || c.Width*c.Height > maxArmsPixels {
		return nil, invalid("the picture has %d x %d pixels; possible are 16 x 16 to 4096 x 4096", c.Width, c.Height)
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, invalid("the picture is damaged: %v", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, shrink(img, armsSide)); err != nil {
		return nil, fmt.Errorf("ente: %w", err)
	}
	return b.Bytes(), nil
}

// shrink makes a picture of at most side x side; each new pixel is the mean of those it
// covers.
func shrink(img image.Image, side int) *image.NRGBA {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if m := max(w, h); m > side {
		w, h = max(1, w*side/m), max(1, h*side/m)
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			x0, x1 := b.Min.X+x*b.Dx()/w, b.Min.X+(x+1)*b.Dx()/w
			y0, y1 := b.Min.Y+y*b.Dy()/h, b.Min.Y+(y+1)*b.Dy()/h
			var r, g, bl, al, n uint64
			for yy := y0; yy < max(y1, y0+1); yy++ {
				for xx := x0; xx < max(x1, x0+1); xx++ {
					cr, cg, cb, ca := img.At(xx, yy).RGBA()
					r, g, bl, al, n = r+uint64(cr), g+uint64(cg), bl+uint64(cb), al+uint64(ca), n+1
				}
			}
			out.Set(x, y, color.RGBA64{R: uint16(r / n), G: uint16(g / n), B: uint16(bl / n), A: uint16(al / n)}) //nolint:gosec // means of 16 bits
		}
	}
	return out
}

// Style is the style sheet of an ente's colour (#rrggbb, checked when it was set), which
// header and footer have in portal and console.
func Style(color string) string {
	if color == "" {
		return ""
	}
	return ".it-header-slim-wrapper, .it-header-center-wrapper, .it-footer-main { background-color: " + color + "; }\n"
}

// checkColor: white text on it has the contrast of WCAG 2.1, 1.4.3, Contrast (Minimum).
func checkColor(s string) error {
	if s == "" {
		return nil
	}
	v, err := strconv.ParseUint(s[1:], 16, 32)
	if s[0] != '#' || len(s) != 7 || err != nil {
		return invalid("the colour %q is not written as #rrggbb", s)
	}
	channel := func(x uint64) float64 {
		c := float64(x&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	light := 0.2126*channel(v>>16) + 0.7152*channel(v>>8) + 0.0722*channel(v)
	if contrast := 1.05 / (light + 0.05); contrast < 4.5 {
		return invalid("white text on %s has a contrast of %.1f; 4.5 is needed (WCAG 2.1, 1.4.3)", s, contrast)
	}
	return nil
}
