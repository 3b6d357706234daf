package filelock_test

import (
	"maps"
	"math"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// systemCallsFlockPeers are what WithFlockPeers costs in addition: the file is opened,
// locked, looked at and looked up; at the end it is looked up, unlocked and closed.
var systemCallsFlockPeers = tally{"openat": 1, "flock": 2, "fstat": 1, "newfstatat": 2, "close": 1}

func init() { locktest.Register("peer cycles", peerCyclesChild) }

func peerCyclesChild(args []string) error {
	cycles, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	l, err := filelock.New(args[0], filelock.WithLinger(0), filelock.WithFlockPeers())
	if err != nil {
		return err
	}
	return use(l, cycles)
}

// TestSystemCallsOfFlockPeers: that is all. Without the option there is none of it
// (TestSystemCallsOfFreeLock).
func TestSystemCallsOfFlockPeers(t *testing.T) {
	requireStrace(t)
	onEach(t, func(t *testing.T, dir string) {
		requireOneKernel(t, dir)
		const few, many = 50, 250
		count := func(cycles int) tally {
			_, calls := straced(t, "peer cycles", filepath.Join(dir, "target"), cycles)
			return calls()
		}
		perHold := tally{}
		for call, n := range count(many).minus(count(few)).ours() {
			if n := int(math.Round(float64(n) / (many - few))); n != 0 {
				perHold[call] = n
			}
		}
		limit := maps.Clone(systemCallsFree)
		for call, n := range systemCallsFlockPeers {
			limit[call] += n
		}
		require.Equal(t, limit, perHold, "if it is less, lower the limit")
	})
}
