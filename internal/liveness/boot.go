package liveness

import (
	"hash/fnv"
	"slices"
	"strconv"
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
	if _, ours := slices.BinarySearch(pidSpaces(id.BootID), n.PIDSpace); ours {
		return thisBoot
	}
	return earlierBoot
}

// allSpaces remembers what pidSpaces found, by boot: for one boot, but in tests.
var allSpaces sync.Map

// pidSpaces returns the hashes of all the pid namespaces that a boot can have,
// sorted. They are found once, which takes some 100 ms and 4 MB, when the first
// ticket is seen that needs it: searching anew for every ticket would let a few
// hundred planted names keep everybody busy.
func pidSpaces(bootID string) []ticket.Hash {
	once, ok := allSpaces.Load(bootID)
	if !ok {
		once, _ = allSpaces.LoadOrStore(bootID, sync.OnceValue(func() []ticket.Hash { return findSpaces(bootID) }))
	}
	return once.(func() []ticket.Hash)()
}

// findSpaces is pidSpace for a million namespaces: it hashes what they have in
// common once, and allocates nothing for the rest.
func findSpaces(bootID string) []ticket.Hash {
	const prime = 1099511628211 // FNV-1a's, for 64 bits
	h := fnv.New64a()
	for _, part := range []string{bootID, "pid"} {
		h.Write(append([]byte(part), 0))
	}
	common := h.Sum64()
	spaces := make([]ticket.Hash, pidNamespaces)
	var digits [21]byte
	for i := range spaces {
		sum := common
		for _, c := range append(strconv.AppendUint(digits[:0], initialPIDNamespace+uint64(i), 10), 0) {
			sum = (sum ^ uint64(c)) * prime
		}
		spaces[i] = max(1, ticket.Hash(sum^sum>>32))
	}
	slices.Sort(spaces)
	return spaces
}
