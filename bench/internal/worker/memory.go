package worker

import (
	"runtime"
	"runtime/debug"
)

// Memory is what a process takes, by its own account.
type Memory struct{ Heap, Stacks float64 }

func memory() Memory {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Memory{Heap: float64(m.HeapAlloc), Stacks: float64(m.StackInuse)}
}
