package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/cmd/filelock/cli"
)

// TestEtcdIsBuiltIn: its URLs are understood. What it does with them is tested in module
// etcdlock/tests, where the servers are.
func TestEtcdIsBuiltIn(t *testing.T) {
	for _, url := range []string{"etcd://host/name", "etcds://host/name"} {
		var errs bytes.Buffer
		code := cli.Main([]string{"run", "-F", url, "true"}, nil, nil, &errs)
		require.Equal(t, 64, code)
		require.Contains(t, errs.String(), "-F leaves no filelock behind")
	}
}
