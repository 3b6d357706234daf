package verify

import (
	"time"

	"github.com/filelock-go/filelock/cmd/filelock/internal/worker"
)

// crew is this host's contenders.
type crew []*worker.Process

// recruit starts n of them. The caller owes a call of dismiss, after an error too.
func recruit(command []string, n int, c contention) (crew, error) {
	var all crew
	for range n {
		w, err := worker.Start(command, "contend", c)
		if err != nil {
			return all, err
		}
		all = append(all, w)
	}
	return all, nil
}

// lastWords is how long contenders may take to end once they are told to.
const lastWords = 5 * time.Second

// dismiss ends them all.
func (c crew) dismiss() {
	for _, w := range c {
		_ = w.Dismiss(lastWords)
	}
}
