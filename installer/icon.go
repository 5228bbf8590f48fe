package installer

import (
	"fmt"
	"math"
	"strings"
)

// Icon draws the agent's icon: a card with its chip and the stroke of a signature.
// SVG 1.1, 128 units square.
func Icon() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="128" height="128" viewBox="0 0 128 128">
  <title>CiTel</title>
  <rect x="6" y="24" width="116" height="80" rx="10" fill="#0066cc"/>
  <rect x="6" y="24" width="116" height="22" rx="10" fill="#004d99"/>
  <rect x="6" y="36" width="116" height="10" fill="#004d99"/>
`)
	// The chip's eight contacts, as ISO/IEC 7816-2 lays them out: two columns of four.
	for i := range 8 {
		fmt.Fprintf(&b, "  <rect x=\"%d\" y=\"%d\" width=\"12\" height=\"5\" rx=\"1\" fill=\"#ffd24d\"/>\n", 18+i/4*15, 54+i%4*7)
	}
	b.WriteString(`  <path d="M56 88`)
	for i := 1; i <= 24; i++ {
		x := float64(i) / 24
		fmt.Fprintf(&b, " L%.1f %.1f", 56+x*54, 88-14*x-9*math.Sin(x*5*math.Pi)*(1-x))
	}
	b.WriteString(`" fill="none" stroke="#ffffff" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/>
</svg>
`)
	return b.String()
}
