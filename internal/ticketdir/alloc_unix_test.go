//go:build unix

package ticketdir

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestAllocations is a bound on what one passage through an empty queue costs.
func TestAllocations(t *testing.T) {
	q := queueIn(t.TempDir())
	q.Prepare()
	cycle := func() {
		o := New(q)
		_, err := o.Create()
		if err == nil {
			_, err = o.List()
		}
		if err == nil {
			err = o.Settle(false)
		}
		if err == nil {
			_, err = o.Enter()
		}
		if err == nil {
			err = o.Remove()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	got := testing.AllocsPerRun(500, cycle)
	t.Logf("%v allocations", got)
	assert.LessOrEqual(t, got, float64(maxAllocations))
}

// maxAllocations leaves room for two more than are needed, since the
// race detector empties pools now and then.
const maxAllocations = 8
