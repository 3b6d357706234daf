package liveness

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescribe(t *testing.T) {
	d := Describe(os.Getpid())
	require.Equal(t, os.Args[0], d.Program)
	require.Equal(t, strings.Join(os.Args, " "), d.Command)
	// A user that only a directory service knows is told by number.
	want := []string{strconv.Itoa(os.Getuid())}
	if u, err := user.Current(); err == nil {
		want = append(want, u.Username)
	}
	require.Contains(t, want, d.User)

	require.Empty(t, Describe(noPID))
}

func TestUserName(t *testing.T) {
	root := "root"
	if _, err := os.Stat("/etc/passwd"); err != nil {
		root = "0" // a container need not have one
	}
	require.Equal(t, root, userName(0))
	require.Equal(t, "4294967293", userName(1<<32-3), "no such user")
}
