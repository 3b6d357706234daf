package ticket

import (
	"strconv"
	"strings"
	"time"
)

// What others have written, in names, labels and times of files, is made fit to be shown
// by these.

// Quote returns a text as it is shown: in quotes if anything in it would break a line,
// hide something, or change a terminal.
func Quote(text string) string {
	if quoted := strconv.Quote(text); quoted != `"`+text+`"` {
		return quoted
	}
	return text
}

// Escape writes what is no printable character as Go does in strings.
func Escape(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// Shorten cuts a text after so many characters.
func Shorten(text string, most int) string {
	n := 0
	for i := range text {
		if n++; n > most {
			return text[:i] + "…"
		}
	}
	return text
}

// JSONTime is a time that JSON can hold: years have four digits there, and a file's time,
// which anybody may set who may write in the directory, may have more.
func JSONTime(t time.Time) time.Time {
	var first time.Time
	last := time.Date(9999, 12, 30, 0, 0, 0, 0, time.UTC) // in any time zone
	switch {
	case t.Before(first):
		return first
	case t.After(last):
		return last
	}
	return t
}
