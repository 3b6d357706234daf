package liveness

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func (id *Identity) fill() {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return
	}
	id.BootID = strings.TrimSpace(string(boot))
	// A /proc of another pid namespace than ours would tell of strangers.
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(id.PID) {
		return
	}
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/self/ns/pid", &st); err != nil {
		return
	}
	id.PIDSpace = pidSpace(id.BootID, st.Ino)
	id.InitialPIDs = st.Ino == initialPIDNamespace
	if p, err := readProc(id.PID); err == nil && initialTimes() {
		id.Start = p.start
	}
}

// initialTimeNamespace is PROC_TIME_INIT_INO.
const initialTimeNamespace = 0xEFFFFFFA

// initialTimes reports whether this process reads the machine's own times. In
// another time namespace /proc shows all starts shifted by its boot time's
// offset, so that each process there would look like another one, and die by it.
func initialTimes() bool {
	var st syscall.Stat_t
	err := syscall.Stat("/proc/self/ns/time", &st)
	return errors.Is(err, syscall.ENOENT) || err == nil && st.Ino == initialTimeNamespace
}
