//go:build unix && !linux

package ticketdir

import "time"

// clockTick is not asked for: without entry locks, no ticket rests.
func clockTick() time.Duration { return time.Second }
