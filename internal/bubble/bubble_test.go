package bubble_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/bubble"
)

func TestInside(t *testing.T) {
	require.False(t, bubble.Inside())
	var in time.Time
	synctest.Test(t, func(t *testing.T) {
		require.True(t, bubble.Inside())
		time.Sleep(time.Hour)
		require.True(t, bubble.Inside())
		in = time.Now()
	})
	require.True(t, bubble.Made(in))
	require.False(t, bubble.Inside())
}
