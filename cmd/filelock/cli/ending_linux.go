//go:build !mips && !mipsle && !mips64 && !mips64le

package cli

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// endBy ends this process by sig, as the signal itself would have, so that whoever
// waits for it sees that. It leaves no second memory dump beside the command's. It
// returns if that cannot be: pid 1 is not ended by signals.
func endBy(sig syscall.Signal) {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	runtime.LockOSThread()
	_, _ = setAction(sig, &sigaction{sigDefault}) // KILL needs none
	unblock(sig)
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig)
}

// letSignalsEnd gives the signals that are passed on their default effect in the kernel
// itself, which the runtime's Stop leaves to a handler: one that runs while exec ends all
// other threads would take the signal with it.
func letSignalsEnd() {
	ignored := inherited().ignored
	for _, sig := range forwarded {
		if !ignored.has(sig) {
			_, _ = setAction(sig, &sigaction{sigDefault})
		}
	}
}

// unblock lets sig in on this thread.
func unblock(sig syscall.Signal) {
	var set unix.Sigset_t
	(*sigset)(unsafe.Pointer(&set)).add(sig)
	_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil)
}

// withDefault calls fn while sig has its default effect.
func withDefault(sig syscall.Signal, fn func(syscall.Signal)) {
	old, err := setAction(sig, &sigaction{sigDefault})
	fn(sig)
	if err == nil {
		_, _ = setAction(sig, &old)
	}
}

// setForeground makes a process group the terminal's foreground, also from the
// background, where the kernel would stop this process for it.
func setForeground(tty, group int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, old unix.Sigset_t
	(*sigset)(unsafe.Pointer(&set)).add(unix.SIGTTOU)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old); err != nil {
		return err
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) }()
	return unix.IoctlSetPointerInt(tty, unix.TIOCSPGRP, group)
}
