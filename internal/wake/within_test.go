package wake_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/wake"
)

// TestWithin: what returns in time is waited for, and nothing else, to the moment; what is
// late goes on, and tells when it has ended.
func TestWithin(t *testing.T) {
	const patience = time.Second
	for _, takes := range []time.Duration{0, patience - 1, patience + 1, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			began, set := time.Now(), false
			inTime, ended := wake.Within(patience, func() {
				time.Sleep(takes)
				set = true
			})
			require.Equal(t, takes < patience, inTime)
			require.Equal(t, min(takes, patience), time.Since(began))
			<-ended
			require.True(t, set)
			require.Equal(t, takes, time.Since(began))
		})
	}
}
