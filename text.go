package filelock

import (
	"strconv"
	"strings"
	"time"
)

// quote returns a path as it is written in messages: in quotes if it has
// anything in it that would break a line or hide something.
func quote(path string) string {
	if quoted := strconv.Quote(path); quoted != `"`+path+`"` {
		return quoted
	}
	return path
}

// longest is how many characters of a program's name a message shows: a process may
// call itself anything.
const longest = 64

func shorten(text string) string {
	n := 0
	for i := range text {
		if n++; n > longest {
			return text[:i] + "…"
		}
	}
	return text
}

// escape writes what is no printable character as Go does in strings.
func escape(text string) string {
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

// writable is a time that JSON can hold: years have four digits there, and a ticket's
// number, which may be anything that the filesystem stores, may have more.
func writable(t time.Time) time.Time {
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
