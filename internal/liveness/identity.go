package liveness

import (
	"os"
	"strconv"
	"sync"

	"github.com/filelock-go/filelock/internal/ticket"
)

// Identity is what this process can say of itself in its tickets, and what it
// compares others' tickets with.
type Identity struct {
	RawHost  string // as the system gives it, for plain tickets
	Host     string // as our tickets have it
	PID      int
	Start    uint64 // 0 where there is none that survives a clock step and means the same to all
	PIDSpace ticket.Hash
	// InitialPIDs is whether pids here are the machine's own.
	InitialPIDs bool
}

var self struct {
	sync.Mutex
	known bool
	id    Identity
}

// fill is a variable for tests in which it fails.
var fill = (*Identity).fill

// Self returns this process's identity. It is read once, but a reading that
// failed is never kept: for want of a descriptor at the first acquisition a
// process would be a stranger to all others, and its tickets unknown for ever.
func Self() (Identity, error) {
	self.Lock()
	defer self.Unlock()
	if self.known {
		return self.id, nil
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	id := Identity{RawHost: host, Host: ticket.Hostname(host), PID: os.Getpid()}
	if err := fill(&id); err != nil {
		return Identity{}, err
	}
	self.id, self.known = id, true
	return id, nil
}

func pidSpace(bootID string, namespace uint64) ticket.Hash {
	return ticket.HashOf(bootID, "pid", strconv.FormatUint(namespace, 10))
}
