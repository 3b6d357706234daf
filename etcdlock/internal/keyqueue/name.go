package keyqueue

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/filelock-go/filelock/engine"
)

// Prefix returns what the keys of one name's tickets begin with. The name is one
// segment, so that no lock's prefix begins with another's.
func Prefix(root, name string) string { return root + "/" + escape(name) + "/" }

// escape writes all bytes but letters, digits, '-', '_' and '.' as % and two digits.
func escape(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

const exclusiveKind, sharedKind = "x-", "s-"

// key is the ticket's of a lease.
func (q *Queue) key(shared bool, lease int64) string {
	kind := exclusiveKind
	if shared {
		kind = sharedKind
	}
	return q.prefix + kind + strconv.FormatUint(uint64(lease), 16)
}

// value is what a ticket's key says of its owner.
type value struct {
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Process string    `json:"process"`
	Machine string    `json:"machine,omitempty"`
	Queued  time.Time `json:"queued"`
	Seconds float64   `json:"lease"`
	Label   string    `json:"label,omitempty"`
}

// Process is the owner of all tickets of one process.
type Process struct {
	Host string
	PID  int
	Name string // another one for each process, whatever host and pid are

	// Machine is equal for processes that Meet may tell of each other; "": it tells of
	// nobody. What others write under the root is believed here.
	Machine string
	// Hidden: its tickets do not say on which machine it is, so that nobody is told of its end.
	Hidden bool
	// Meet returns a channel that is closed when the process of that name, of the same
	// machine, has ended; nil if that will not be told. The caller calls part when it does
	// not care any more.
	Meet func(name string) (ended <-chan struct{}, part func())
}

func (p Process) value(c engine.Contender) string {
	machine := p.Machine
	if p.Hidden {
		machine = ""
	}
	text, err := json.Marshal(value{p.Host, p.PID, p.Name, machine, c.Queued, c.Lease.Seconds(), c.Label})
	if err != nil { // a time out of range: there is none
		panic(err)
	}
	return string(text)
}

// contender returns what an entry says. Of one whose value is not ours it is known
// that it is there.
func (p Process) contender(prefix string, e Entry) engine.Contender {
	c := engine.Contender{ID: e.Key, Serial: uint64(e.Created), Left: -1}
	c.Shared = strings.HasPrefix(e.Key, prefix+sharedKind)
	var v value
	if json.Unmarshal([]byte(e.Value), &v) == nil {
		c.Host, c.PID, c.Queued, c.Label = v.Host, v.PID, v.Queued, v.Label
		c.Lease = time.Duration(v.Seconds * float64(time.Second))
		c.Own = v.Process == p.Name
	}
	return c
}

// meet is Meet for the owner of a ticket that is not its own.
func (p Process) meet(ticket Entry) (ended <-chan struct{}, part func()) {
	var v value
	switch {
	case p.Machine == "", json.Unmarshal([]byte(ticket.Value), &v) != nil, v.Process == p.Name:
		return nil, func() {}
	case v.Machine != p.Machine: // the same name may be somebody else's here
		return nil, func() {}
	}
	return p.Meet(v.Process)
}
