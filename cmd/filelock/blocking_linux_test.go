package main

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// blocking is a command that blocks signals, and becomes another one:
//
//	blocking NUMBER,... COMMAND [ARG...]
func blocking() {
	runtime.LockOSThread()
	set := unix.Sigset_t{}
	for text := range strings.SplitSeq(os.Args[1], ",") {
		n, err := strconv.Atoi(text)
		must(err)
		set.Val[(uint(n)-1)/bits] |= 1 << ((uint(n) - 1) % bits)
	}
	must(unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil))
	path, err := exec.LookPath(os.Args[2])
	must(err)
	must(syscall.Exec(path, os.Args[2:], os.Environ()))
}

// bits is how many signals a word of the set has.
const bits = 1024 / uint(len(unix.Sigset_t{}.Val))
