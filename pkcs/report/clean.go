package report

import (
	"fmt"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // Europe/Rome on machines without a time zone database
	"unicode"
	"unicode/utf8"
)

// How much of a stranger's text is shown, in characters. What is cut is counted.
const (
	maxSigner = 80 // in the first line
	maxName   = 200
	maxValue  = 2000
)

// marks bounds the combining marks on one character.
const marks = 3

// clean makes a stranger's text safe to show: characters that control a display, turn
// the direction of text or cannot be seen are written as what they are ("[U+202E]"),
// stacks of combining marks are cut, and so is what is longer than limit characters.
func clean(s string, limit int) string {
	var b strings.Builder
	shown, stacked := 0, 0
	for i, r := range s {
		if shown >= limit {
			fmt.Fprintf(&b, " [+%d]", utf8.RuneCountInString(s[i:]))
			break
		}
		shown++
		if unicode.In(r, unicode.Mn, unicode.Me) {
			if stacked++; stacked > marks {
				continue
			}
		} else {
			stacked = 0
		}
		switch {
		case r == '«', r == '»':
			b.WriteByte('"') // ours alone
		case r == ' ':
			b.WriteByte(' ')
		case r == utf8.RuneError, hidden(r), !unicode.IsGraphic(r):
			fmt.Fprintf(&b, "[U+%04X]", r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}

// hidden are graphic characters that show nothing: spaces of other widths, fillers,
// variation selectors.
func hidden(r rune) bool {
	return unicode.Is(unicode.Zs, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
}

var rome = sync.OnceValue(func() *time.Location {
	if l, err := time.LoadLocation("Europe/Rome"); err == nil {
		return l
	}
	return time.UTC
})
