package ticketdir

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/queue"
)

// TestListingsFollow: whatever has come, gone and risen since the last listing, the
// next one shows what is there, though it takes over what it knows of the names.
func TestListingsFollow(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		o := create(t, q)
		shared := q
		shared.Shared = true
		there := []*Own{o}
		for range 200 {
			for range random.IntN(4) {
				switch i := random.IntN(len(there)); {
				case random.IntN(3) == 0 && i > 0:
					require.NoError(t, there[i].Remove())
					there = slices.Delete(there, i, i+1)
				case random.IntN(2) == 0:
					there = append(there, create(t, []Queue{q, shared}[random.IntN(2)]))
				default:
					n, ok := mtime(t, there[i].Path()).Add(time.Second)
					require.True(t, ok)
					setMtime(t, there[i].Path(), n)
				}
			}
			o.final = true // else numbers of the listing before are good enough
			got, err := o.List()
			require.NoError(t, err)
			want := map[string]queue.Ticket{}
			for _, x := range there {
				want[x.Name()] = queue.Ticket{Name: x.Name(), Number: mtime(t, x.Path()), Shared: x.q.Shared}
			}
			require.Len(t, got, len(want))
			for _, x := range got {
				require.Equal(t, want[x.Name], x)
			}
		}
	})
}

// TestRemaining: of those that were ahead, who is gone is left out, and of the others
// the numbers are of now, whether tickets here are removed or get in line again.
func TestRemaining(t *testing.T) {
	for name, gone := range map[string][]int{
		"all are there": nil, "the nearest has gone": {2}, "the farthest has gone": {0}, "one amid them has gone": {1},
		"all have gone": {0, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				for _, again := range []bool{false, true} {
					o := inside(t, dir)
					if again {
						_, err := o.Restamp(mtime(t, o.Path()), false)
						require.NoError(t, err)
					}
					var ahead, want []queue.Ticket
					for i := range 3 {
						x := create(t, o.q)
						ahead = append(ahead, queue.Ticket{Name: x.Name(), Number: mtime(t, x.Path())})
						risen, ok := mtime(t, x.Path()).Add(time.Minute)
						require.True(t, ok)
						setMtime(t, x.Path(), risen)
						if slices.Contains(gone, i) {
							require.NoError(t, x.Remove())
						} else {
							want = append(want, queue.Ticket{Name: x.Name(), Number: risen})
						}
					}
					got, err := o.Remaining(ahead)
					require.NoError(t, err)
					require.ElementsMatch(t, want, got)
				}
			})
		})
	}
}
