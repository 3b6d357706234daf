package liveness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Describe returns a process's command line and user, for display: what cannot
// be learnt is "".
func Describe(pid int) (command, user string) {
	if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
		command = string(bytes.ReplaceAll(bytes.TrimRight(args, "\x00"), []byte{0}, []byte{' '}))
	}
	var st syscall.Stat_t
	if err := stat(fmt.Sprintf("/proc/%d", pid), &st); err == nil {
		user = userName(st.Uid)
	}
	return command, user
}

// userName looks a user up in the one file that there always is. Package os/user
// would link the C library in.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return id
	}
	for line := range strings.Lines(string(users)) {
		if fields := strings.Split(line, ":"); len(fields) > 2 && fields[2] == id {
			return fields[0]
		}
	}
	return id
}
