package flockpeer

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ownerOf returns the pid of a process that took a flock on the file, or 0 if that
// cannot be seen: some filesystems show another device in the table, and processes of
// other pid namespaces have no pid here.
func ownerOf(path string) (pid int) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	table, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	dev := uint64(st.Dev)
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), st.Ino)
	for line := range strings.Lines(string(table)) {
		// 1: FLOCK  ADVISORY  WRITE 4242 08:01:131090 0 EOF; who waits has "->" behind
		// the number.
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != file {
			continue
		}
		if pid, err = strconv.Atoi(f[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}
