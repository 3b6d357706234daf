package filelock_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// fencedOwner is one grant of a lock that gives each a token. It may be over while its
// owner still believes in it.
type fencedOwner struct {
	token    uint64
	shared   bool
	live     bool
	accessed bool   // the store has let it through
	value    string // what it has seen there, or written
}

// fencedOwners are all grants so far.
type fencedOwners []*fencedOwner

// grant lets in one more, if it may come in beside those that are live.
func (os fencedOwners) grant(shared bool) fencedOwners {
	for _, o := range os {
		if o.live && !(o.shared && shared) {
			return os
		}
	}
	return append(os, &fencedOwner{token: uint64(len(os) + 1), shared: shared, live: true})
}

// TestStoreOfExample: whatever live owners and late ones do at a store as the example has
// it, behind any lock that works: no live one is refused; and what an owner has seen there
// nobody else changes, until its hold ends or it is refused.
func TestStoreOfExample(t *testing.T) {
	const histories, steps = 2000, 60
	late := 0 // accesses that were refused
	for seed := range uint64(histories) {
		var s store
		var owners fencedOwners
		random := rand.New(rand.NewPCG(seed, 0))
		for step := range steps {
			at := fmt.Sprintf("seed %d, step %d", seed, step)
			choice := random.IntN(4)
			if choice == 0 || len(owners) == 0 {
				owners = owners.grant(random.IntN(2) == 0)
				continue
			}
			o := owners[random.IntN(len(owners))]
			if choice == 1 { // its hold ends, and it does not know
				o.live = false
				continue
			}
			value := at
			var err error
			if reads := o.shared || random.IntN(2) == 0; !reads {
				err = s.Write(o.token, value)
			} else if value, err = s.Read(o.token); err == nil && o.accessed {
				require.Equal(t, o.value, value, "%s: it reads what it has not seen before", at)
			}
			switch {
			case err == nil:
				o.accessed, o.value = true, value
			case o.live:
				require.NoError(t, err, "%s: a live owner is refused", at)
			default:
				late++
			}
			for _, o := range owners {
				if o.live && o.accessed {
					require.Equal(t, o.value, s.value, "%s: somebody else has written beside %+v", at, o)
				}
			}
		}
	}
	require.NotZero(t, late)
}
