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
	BootID   string // "" where the system has none
	PIDSpace ticket.Hash
	// InitialPIDs is whether pids here are the machine's own.
	InitialPIDs bool
}

// Self returns this process's identity, read once.
var Self = sync.OnceValue(func() Identity {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	id := Identity{RawHost: host, Host: ticket.Hostname(host), PID: os.Getpid()}
	id.fill()
	return id
})

// oneKernelBit of a place tells that its owner took the filesystem for one
// that no other kernel mounts.
const oneKernelBit ticket.Hash = 1

// Place returns the hash of the directory's filesystem as this boot sees it.
//
// One bit is no hash: it records what the owner saw of the filesystem. The
// server of a shared one sees a local disk, and would otherwise take a client's
// ticket for one of an earlier boot of its own.
func (id Identity) Place(device uint64, oneKernel bool) ticket.Hash {
	if id.BootID == "" {
		return 0
	}
	h := ticket.HashOf(id.BootID, "device", strconv.FormatUint(device, 10))
	if oneKernel {
		return h | oneKernelBit
	}
	return max(h&^oneKernelBit, 2)
}

func pidSpace(bootID string, namespace uint64) ticket.Hash {
	return ticket.HashOf(bootID, "pid", strconv.FormatUint(namespace, 10))
}
