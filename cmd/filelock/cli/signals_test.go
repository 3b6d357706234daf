package cli

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A signal that comes as the wait ends either ends it or is kept for what
// follows; it is never lost.
func TestSignalAtTheEndOfWait(t *testing.T) {
	for range 2000 {
		s := &signals{c: make(chan os.Signal, 1)}
		ctx, stop := s.context()
		go func() { s.c <- os.Interrupt }()
		stop()
		if cause := context.Cause(ctx); cause != nil {
			require.ErrorIs(t, cause, context.Canceled)
			continue
		}
		require.Equal(t, os.Interrupt, <-s.c)
	}
}

func TestParseSeconds(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0s", "5": "5s", "0.5": "500ms", ".25": "250ms", "1m30s": "1m30s", "200ms": "200ms",
		"1e-12": "1ns", "1e300": "2562047h47m16.854775807s", "0x10": "-", "": "-", " 1": "-", "-1": "-",
		"-0.1s": "-", "NaN": "-", "Inf": "2562047h47m16.854775807s", "-Inf": "-", "5 s": "-", "five": "-",
	} {
		d, err := parseSeconds(text)
		if want == "-" {
			assert.ErrorIs(t, err, errSeconds, text)
			continue
		}
		assert.NoError(t, err, text)
		assert.Equal(t, want, d.String(), text)
	}
}
