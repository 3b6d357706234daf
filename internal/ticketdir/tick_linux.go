package ticketdir

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the step of the clock by which the kernel stamps files: 1 to 10 ms.
var clockTick = sync.OnceValue(func() time.Duration {
	var res unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_REALTIME_COARSE, &res); err != nil {
		return slowestTick
	}
	return min(time.Duration(res.Nano()), slowestTick)
})

const slowestTick = 10 * time.Millisecond
