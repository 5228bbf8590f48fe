package tray

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"runtime"
)

// size of the icon, in pixels; desktops make it smaller.
const size = 48

// icon draws a card with its chip and, in the corner, a mark for the state: a disc
// when a card is there, a ring when a reader waits, a cross when something is missing.
// The shapes differ, not the colours alone.
func icon(s State) []byte {
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	blue, white, gold := color.NRGBA{0, 102, 204, 255}, color.NRGBA{255, 255, 255, 255}, color.NRGBA{255, 200, 60, 255}
	if s != Card {
		blue, gold = color.NRGBA{92, 111, 130, 255}, color.NRGBA{215, 220, 225, 255}
	}
	rounded(img, image.Rect(2, 8, 46, 40), 5, white)
	rounded(img, image.Rect(4, 10, 44, 38), 4, blue)
	rounded(img, image.Rect(9, 18, 19, 27), 2, gold)
	rounded(img, image.Rect(9, 31, 26, 34), 1, white)
	const x, y = 36, 35
	disc(img, x, y, 11, white)
	switch s {
	case Card:
		disc(img, x, y, 9, color.NRGBA{0, 128, 85, 255})
	case NoCard:
		disc(img, x, y, 9, color.NRGBA{0, 102, 204, 255})
		disc(img, x, y, 5, white)
	default:
		red := color.NRGBA{204, 51, 77, 255}
		for d := -7; d <= 7; d++ {
			for w := -2; w <= 2; w++ {
				img.Set(x+d+w, y+d, red)
				img.Set(x+d+w, y-d, red)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil // an image in memory always encodes
	}
	if runtime.GOOS == "windows" {
		return ico(b.Bytes())
	}
	return b.Bytes()
}

func rounded(img *image.NRGBA, r image.Rectangle, radius int, c color.Color) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			dx, dy := max(r.Min.X+radius-x, x-(r.Max.X-1-radius), 0), max(r.Min.Y+radius-y, y-(r.Max.Y-1-radius), 0)
			if dx*dx+dy*dy <= radius*radius {
				img.Set(x, y, c)
			}
		}
	}
}

func disc(img *image.NRGBA, cx, cy, radius int, c color.Color) {
	rounded(img, image.Rect(cx-radius, cy-radius, cx+radius+1, cy+radius+1), radius, c)
}

// ico puts a PNG into an icon file with one image.
func ico(data []byte) []byte {
	head := make([]byte, 22)
	binary.LittleEndian.PutUint16(head[2:], 1) // an icon
	binary.LittleEndian.PutUint16(head[4:], 1) // one image
	head[6], head[7] = size, size
	binary.LittleEndian.PutUint16(head[10:], 1)  // planes
	binary.LittleEndian.PutUint16(head[12:], 32) // bits
	binary.LittleEndian.PutUint32(head[14:], uint32(len(data)))
	binary.LittleEndian.PutUint32(head[18:], uint32(len(head)))
	return append(head, data...)
}
