package liveness

import (
	"bytes"
	"errors"
	"syscall"
)

// initialPIDNamespace is the inode of the machine's first pid namespace,
// PROC_PID_INIT_INO in Linux's include/linux/proc_ns.h.
const initialPIDNamespace = 0xEFFFFFFC

// fill reads what /proc tells. That there is no /proc, or a part of it only, is
// an answer: the pid space is then unknown. That it cannot be read for now is an
// error.
//
// A container's boot id may be its own, made up by its manager. That matters
// little: it tells pid spaces apart that are apart anyway.
func (id *Identity) fill() error {
	var buf [64]byte
	boot, err := readSmall("/proc/sys/kernel/random/boot_id", buf[:])
	if err != nil {
		return unlessAbsent(err)
	}
	p, err := readStat("/proc/self/stat")
	if err != nil {
		return unlessAbsent(err)
	}
	// A /proc of another pid namespace than ours would tell of strangers.
	if p.pid != id.PID {
		return nil
	}
	namespace, err := readNamespace("pid")
	if err != nil || namespace == 0 {
		return unlessAbsent(err)
	}
	initial, err := initialTimes()
	if err != nil {
		return err
	}
	if initial {
		id.Start = p.start
	}
	id.PIDSpace = pidSpace(string(bytes.TrimSpace(boot)), namespace)
	id.InitialPIDs = namespace == initialPIDNamespace
	return nil
}

// unlessAbsent returns the errors that may be over the next time: of what is
// not there, or is not for us, there is nothing to be had later either.
func unlessAbsent(err error) error {
	for _, lasting := range []error{syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.EPERM, syscall.ELOOP, syscall.EINVAL} {
		if errors.Is(err, lasting) {
			return nil
		}
	}
	return err
}

func stat(path string, st *syscall.Stat_t) error {
	return uninterrupted(func() error { return syscall.Stat(path, st) })
}

// initialTimeNamespace is PROC_TIME_INIT_INO.
const initialTimeNamespace = 0xEFFFFFFA

// initialTimes reports whether this process reads the machine's own times. In
// another time namespace /proc shows all starts shifted by its boot time's
// offset, so that each process there would look like another one, and die by it.
func initialTimes() (bool, error) {
	switch namespace, err := readNamespace("time"); {
	case errors.Is(err, syscall.ENOENT):
		return true, nil // a kernel without them
	case err != nil:
		return false, unlessAbsent(err)
	default:
		return namespace == initialTimeNamespace, nil
	}
}
