//go:build unix

package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Streams that are no files are the command's all the same.
func TestMainWithStreams(t *testing.T) {
	var out, errs bytes.Buffer
	target := filepath.Join(t.TempDir(), "T")
	code := Main([]string{"run", target, "-c", "cat; echo error >&2; exit 3"}, strings.NewReader("input\n"), &out, &errs)
	require.Equal(t, 3, code)
	require.Equal(t, "input\n", out.String())
	require.Equal(t, "error\n", errs.String())
}
