package cli

import "github.com/filelock-go/filelock/cmd/filelock/internal/overview"

// printable keeps what others wrote from breaking lines and columns, or changing a
// terminal.
func printable(text string) string { return overview.Quote(text) }
