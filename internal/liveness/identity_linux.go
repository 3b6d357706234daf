package liveness

import (
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
	if p, err := readProc(id.PID); err == nil {
		id.Start = p.start
	}
}
