package ticketdir

import (
	"strings"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// scratchEnd is how the names of scratch entries end, which are made and removed
// at once to change the directory (R10).
const scratchEnd = ".scratch"

// kind is what an entry of the directory is to the queue.
type kind int

const (
	isTicket kind = iota
	isRaised
	isScratch
)

// entry is one name of a listing that concerns the queue.
type entry struct {
	name          string
	kind          kind
	plain, shared bool
	// number is known already if numbered.
	number   queue.Number
	numbered bool
}

// classify tells what a name of a directory is to the queue. The bytes are of
// the directory buffer: no string is made for the names that do not concern us,
// nor for the own one.
func (q *Queue) classify(name []byte, own string) (e entry, ok bool) {
	if len(name) <= len(q.Prefix) || string(name[:len(q.Prefix)]) != q.Prefix {
		return entry{}, false
	}
	if string(name) == own {
		return entry{name: own}, true
	}
	text := string(name)
	if n, ok := ticket.Parse(q.Prefix, text); ok {
		return entry{name: text, plain: n.Plain, shared: n.Shared}, true
	}
	if of, _, ok := ticket.ParseRaised(text); ok {
		if _, ok := ticket.Parse(q.Prefix, of); ok {
			return entry{name: text, kind: isRaised}, true
		}
	}
	if nonce, ok := strings.CutSuffix(text[len(q.Prefix):], scratchEnd); ok && isNonce(nonce) {
		return entry{name: text, kind: isScratch}, true
	}
	return entry{}, false
}

func (q *Queue) newScratch() string { return q.Prefix + ticket.NewNonce() + scratchEnd }

func isNonce(text string) bool {
	return len(text) == 32 && strings.Trim(text, "0123456789abcdef") == ""
}

// litter is what a listing shows of entries that nobody needs any more, if the
// next listings show them too.
type litter struct {
	orphans   []string // raised entries without their ticket
	scratches []string
}
