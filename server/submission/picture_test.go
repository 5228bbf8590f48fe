package submission_test

import (
	"bytes"
	"image"
	"image/png"
)

func attachmentPNG() ([]byte, error) {
	var b bytes.Buffer
	err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 4)))
	return b.Bytes(), err
}
