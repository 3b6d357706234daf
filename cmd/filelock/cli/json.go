package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// writeJSON writes v for programs, and so that it changes no terminal either: encoding/json
// escapes of what is not printed only the characters below a space.
func writeJSON(out io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	const del = '\x7f'
	var b strings.Builder
	for _, r := range string(text) {
		if r < utf8.RuneSelf && r != del || strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	_, err = fmt.Fprintln(out, b.String())
	return err
}
