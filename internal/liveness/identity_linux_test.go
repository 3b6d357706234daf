package liveness

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSelf: what this process says of itself is what others find.
func TestSelf(t *testing.T) {
	id, err := Self()
	require.NoError(t, err)
	t.Logf("%+v", id)
	require.Equal(t, os.Getpid(), id.PID)
	require.NotZero(t, id.PIDSpace)
	require.Equal(t, ProcessRuns, Ask(id.PID, id.Start))
}

// TestReadNamespace: the text of a link names the inode that it leads to.
func TestReadNamespace(t *testing.T) {
	for _, kind := range []string{"pid", "time", "mnt"} {
		t.Run(kind, func(t *testing.T) {
			got, err := readNamespace(kind)
			var st syscall.Stat_t
			if failure := stat("/proc/self/ns/"+kind, &st); failure != nil {
				require.ErrorIs(t, err, failure)
				return
			}
			require.NoError(t, err)
			require.Equal(t, st.Ino, got)
		})
	}
	_, err := readNamespace("none")
	require.ErrorIs(t, err, syscall.ENOENT)
	other, err := readNamespace("../exe")
	require.NoError(t, err)
	require.Zero(t, other, "no number is made of what is not understood")
}

// TestUnlessAbsent: what is not there, or is not for us, will not be later
// either. Everything else may be over the next time.
func TestUnlessAbsent(t *testing.T) {
	for _, lasting := range []error{
		syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.EPERM, syscall.ELOOP, syscall.EINVAL,
		&fs.PathError{Op: "open", Path: "/proc/self", Err: syscall.ENOENT},
	} {
		t.Run(fmt.Sprint(lasting), func(t *testing.T) { require.NoError(t, unlessAbsent(lasting)) })
	}
	for _, passing := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.EINTR,
		&fs.PathError{Op: "open", Path: "/proc/self", Err: syscall.EMFILE},
	} {
		t.Run(fmt.Sprint(passing), func(t *testing.T) { require.ErrorIs(t, unlessAbsent(passing), passing) })
	}
	require.NoError(t, unlessAbsent(nil))
}
