package filelock_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

func TestWithLeaseRefuses(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond, time.Second - 1, 1500 * time.Millisecond, math.MaxInt64} {
		_, err := filelock.New("target", filelock.WithLease(d))
		require.ErrorIs(t, err, filelock.ErrInvalid, "%v", d)
	}
	for _, d := range []time.Duration{time.Second, time.Hour} {
		_, err := filelock.New("target", filelock.WithLease(d))
		require.NoError(t, err, "%v", d)
	}
}
