package lease

import (
	"time"

	"golang.org/x/sys/unix"
)

// asleep returns for how long the machine has been suspended since it was started.
// Go's clock, as its timers, stands still meanwhile; a lease does not.
func asleep() time.Duration {
	var boot, monotonic unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - monotonic.Nano())
}
