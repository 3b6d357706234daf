package liveness

import (
	"sync"

	"github.com/filelock-go/filelock/internal/ticket"
)

type boot int

const (
	unknownBoot boot = iota
	thisBoot
	earlierBoot
)

// pidNamespaces is how many inode numbers from the first dynamic one on are
// taken for a pid namespace's. The kernel hands out the lowest free one, to
// all of /proc's dynamic entries alike.
const pidNamespaces = 1 << 20

// initialPIDNamespace is the inode of the machine's first pid namespace,
// PROC_PID_INIT_INO in Linux's include/linux/proc_ns.h. The dynamic ones
// follow, from PROC_DYNAMIC_FIRST, four higher.
const initialPIDNamespace = 0xEFFFFFFC

// boots remembers the answers: each costs a search, some 50 ms.
var boots sync.Map // of ticket.Hash to boot

// bootOf tells whether a ticket was made since this machine booted.
//
// The name holds only a hash of boot and pid namespace, but there are few pid
// namespaces that a boot can have: if none of them gives the ticket's hash
// together with this boot's id, it is of another boot. Neither clocks nor
// device numbers could tell that: the first step, and one filesystem can have
// two device numbers in one boot (an overlay and its upper directory).
//
// A collision only makes an earlier boot's ticket look like this boot's.
func (id Identity) bootOf(n ticket.Name) boot {
	if id.BootID == "" || id.PIDSpace == 0 || n.PIDSpace == 0 {
		return unknownBoot
	}
	if known, ok := boots.Load(n.PIDSpace); ok {
		return known.(boot)
	}
	answer := earlierBoot
	for i := uint64(0); i < pidNamespaces; i++ {
		if pidSpace(id.BootID, initialPIDNamespace+i) == n.PIDSpace {
			answer = thisBoot
			break
		}
	}
	boots.Store(n.PIDSpace, answer)
	return answer
}
