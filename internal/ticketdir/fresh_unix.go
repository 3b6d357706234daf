//go:build unix && !linux

package ticketdir

import "github.com/filelock-go/filelock/internal/queue"

// fresh reads the times of an open ticket, as new as the system will tell.
func (h *handle) fresh(fd int) (number queue.Number, beat Beat, err error) { return fstat(fd) }
