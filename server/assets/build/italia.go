package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
)

const italia = modules + "/bootstrap-italia"

// faces are the fonts of Bootstrap Italia's style sheet. The library declares
// them from JavaScript, in a style element that a strict Content-Security-Policy
// refuses, so the build writes them into a style sheet: css/fonts.css.
var faces = []struct {
	family, dir, prefix, licence string
	weights                      []string
}{
	{"Titillium Web", "Titillium_Web", "titillium-web-v10-latin-ext_latin-", "OFL.txt", []string{"300", "300italic", "regular", "italic", "600", "600italic", "700", "700italic"}},
	{"Lora", "Lora", "lora-v20-latin-ext_latin-", "OFL.txt", []string{"regular", "italic", "700", "700italic"}},
	{"Roboto Mono", "Roboto_Mono", "roboto-mono-v13-latin-ext_latin-", "LICENSE.txt", []string{"regular", "italic", "700", "700italic"}},
}

// addBootstrapItalia copies the style sheet, fonts, icons and behaviour of
// Bootstrap Italia with their licences.
func addBootstrapItalia(out *output) error {
	if err := addLook(out); err != nil {
		return err
	}
	for _, name := range []string{"portal.css", "console.css"} {
		own, err := os.ReadFile(home + "/pages/" + name)
		if err != nil {
			return err
		}
		out.add("css/"+name, own)
	}
	icon, err := os.ReadFile(home + "/pages/icon.svg")
	if err != nil {
		return err
	}
	out.add("img/icon.svg", icon)
	return nil
}

// addLook is what portal and window have in common.
func addLook(out *output) error {
	css, err := os.ReadFile(italia + "/dist/css/bootstrap-italia.min.css")
	if err != nil {
		return err
	}
	css, err = takeDataOut(css, out)
	if err != nil {
		return err
	}
	out.add("css/bootstrap-italia.min.css", css)
	if err := addFonts(out); err != nil {
		return err
	}
	for name, from := range map[string]string{
		"svg/sprites.svg":               "dist/svg/sprites.svg",
		"licences/bootstrap-italia.txt": "LICENSE",
	} {
		if err := out.copy(name, italia+"/"+from); err != nil {
			return err
		}
	}
	return nil
}

func addFonts(out *output) error {
	var css bytes.Buffer
	for _, face := range faces {
		for _, w := range face.weights {
			file := face.prefix + w + ".woff2"
			if err := out.copy("fonts/"+face.dir+"/"+file, italia+"/dist/fonts/"+face.dir+"/"+file); err != nil {
				return err
			}
			style, weight := "normal", strings.TrimSuffix(w, "italic")
			if weight != w {
				style = "italic"
			}
			if weight == "" || weight == "regular" {
				weight = "400"
			}
			fmt.Fprintf(&css, "@font-face{font-family:%q;font-style:%s;font-weight:%s;font-display:swap;src:url(\"../fonts/%s/%s\") format(\"woff2\")}\n",
				face.family, style, weight, face.dir, file)
		}
		if err := out.copy("fonts/"+face.dir+"/"+face.licence, italia+"/dist/fonts/"+face.dir+"/"+face.licence); err != nil {
			return err
		}
	}
	out.add("css/fonts.css", css.Bytes())
	return nil
}

var (
	mapComment = regexp.MustCompile(`/\*# sourceMappingURL=[^*]*\*/`)
	videoFont  = regexp.MustCompile(`@font-face\{font-family:VideoJS;[^}]*\}`)
	dataLeft   = regexp.MustCompile(`url\(['"]?data:`)
	dataImage  = regexp.MustCompile(`url\("data:image/svg\+xml([^,"]*),([^"]*)"\)`)
)

// takeDataOut turns the images inside the style sheet into files beside it, so
// that the pages' policy needs no "img-src data:", and leaves out the video
// player's font, which no page uses.
func takeDataOut(css []byte, out *output) ([]byte, error) {
	css = mapComment.ReplaceAll(css, nil)
	css = videoFont.ReplaceAll(css, nil)
	var failed error
	css = dataImage.ReplaceAllFunc(css, func(m []byte) []byte {
		part := dataImage.FindSubmatch(m)
		svg, err := decodeData(string(part[1]), string(part[2]))
		if err != nil {
			failed = fmt.Errorf("an image in the style sheet: %w", err)
			return m
		}
		sum := sha256.Sum256(svg)
		name := hex.EncodeToString(sum[:6]) + ".svg"
		out.add("img/"+name, svg)
		return []byte(`url("../img/` + name + `")`)
	})
	if failed == nil && dataLeft.Match(css) {
		failed = fmt.Errorf("the style sheet still holds data: addresses; look at takeDataOut")
	}
	return css, failed
}

// decodeData decodes the body of a data: address (RFC 2397, 3, Syntax). A
// percent sign that begins no escape stands for itself, as browsers have it
// (WHATWG URL, 1.3, percent-decode): one of the style sheet's images has "100%".
func decodeData(params, body string) ([]byte, error) {
	if strings.HasSuffix(params, ";base64") {
		return base64.StdEncoding.DecodeString(body)
	}
	var b []byte
	for i := 0; i < len(body); i++ {
		if body[i] == '%' && i+2 < len(body) {
			if c, err := hex.DecodeString(body[i+1 : i+3]); err == nil {
				b = append(b, c[0])
				i += 2
				continue
			}
		}
		b = append(b, body[i])
	}
	return bytes.TrimSpace(b), nil
}
