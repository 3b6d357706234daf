package ticket_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/ticket"
)

func TestTexts(t *testing.T) {
	for _, tt := range []struct{ text, quoted, escaped string }{
		{"", "", ""},
		{"/srv/db", "/srv/db", "/srv/db"},
		{"größer als", "größer als", "größer als"},
		{"two\nlines", `"two\nlines"`, `two\nlines`},
		{"\x1b[2Jclear", `"\x1b[2Jclear"`, `\x1b[2Jclear`},
		{"right\u202eleft", `"right\u202eleft"`, `right\u202eleft`},
		{`a "word"`, `"a \"word\""`, `a "word"`},
		{"no text \xff", `"no text \xff"`, "no text \xff"},
	} {
		require.Equal(t, tt.quoted, ticket.Quote(tt.text))
		require.Equal(t, tt.escaped, ticket.Escape(tt.text))
	}
}

func TestShorten(t *testing.T) {
	require.Equal(t, "äöü", ticket.Shorten("äöü", 3))
	require.Equal(t, "äö…", ticket.Shorten("äöü", 2))
	require.Equal(t, "", ticket.Shorten("", 0))
}

func TestTime(t *testing.T) {
	now := time.Now()
	require.Equal(t, now, ticket.JSONTime(now))
	for _, seconds := range []int64{-1 << 40, 1 << 40} {
		odd := time.Unix(seconds, 0)
		_, err := json.Marshal(odd)
		require.Error(t, err, "else nobody needs this")
		_, err = json.Marshal(ticket.JSONTime(odd).In(time.FixedZone("east", 14*3600)))
		require.NoError(t, err)
	}
}
