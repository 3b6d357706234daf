package rival

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// QueueFloor is our own protocol between contending processes in system calls
// and nothing else: what an order costs that is kept in one file for each
// contender.
//
// It excludes, by the rules and the proof of internal/queue, and queues again
// without creating a file (R15). But a waiter cannot be cancelled, has a thread to
// itself, and waits for the dead for ever.
var QueueFloor = Rival{
	Key: "floor-queue", Name: "floor: the queue in bare calls", Floor: true,
	Open: func(path string) (Lock, error) { return openQueueFloor(path) },
}

type queueFloor struct {
	*fileFloor // makes and removes the ticket
	inotify    int
	prefix     string // of all tickets
	own        queueTicket
	rests      bool     // the ticket is there, marked, and its owner outside
	names      []string // as last listed
	events     [4096]byte
}

// queueTicket is a ticket and its number: the modification time, in
// nanoseconds since 1970.
type queueTicket struct {
	name   string
	number int64
}

func (t queueTicket) compare(o queueTicket) int {
	return cmp.Or(cmp.Compare(t.number, o.number), strings.Compare(t.name, o.name))
}

func openQueueFloor(path string) (Lock, error) {
	f, err := openFileFloor(path)
	if err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("inotify_init1", err) // a user may have 128
	}
	return &queueFloor{fileFloor: f, inotify: fd, prefix: filepath.Base(path) + ".lock."}, nil
}

func (q *queueFloor) Close() (err error) {
	if q.rests {
		err = q.remove()
	}
	return errors.Join(err, unix.Close(q.inotify), q.fileFloor.Close())
}

func (q *queueFloor) Lock(context.Context) error {
	if err := q.getInLine(); err != nil {
		return err
	}
	if err := q.enter(); err != nil {
		return errors.Join(err, q.remove()) // or the others would wait for ever
	}
	return nil
}

// getInLine makes a ticket, or gets in line again with the one that rests.
func (q *queueFloor) getInLine() (err error) {
	if !q.rests {
		if err := q.create(); err != nil {
			return err
		}
		q.own.name = q.path[q.base:]
		q.own.number, err = q.number()
		return err
	}
	q.rests = false
	if err := q.in(); err != nil {
		return errors.Join(err, q.remove())
	}
	now := time.Now().UnixNano()
	if err := q.stamp(now, max(now, q.own.number+1)); err != nil {
		return errors.Join(err, q.remove())
	}
	return q.lock(unix.F_UNLCK, entryByte, 1)
}

// Unlock leaves the ticket marked, at the tail.
func (q *queueFloor) Unlock() error {
	if err := q.out(); err != nil {
		return err
	}
	q.rests = true
	return q.stamp(restMark, max(time.Now().UnixNano(), q.own.number+1))
}

// restMark is the access time of a ticket that rests. Here none comes back without
// taking the mark away, so that it tells.
const restMark = 0

func (q *queueFloor) stamp(accessed, number int64) error {
	q.own.number = number
	times := []unix.Timespec{unix.NsecToTimespec(accessed), unix.NsecToTimespec(number)}
	return unix.UtimesNanoAt(q.dir, q.own.name, times, unix.AT_SYMLINK_NOFOLLOW)
}

// enter waits for each lower ticket, from the nearest on.
func (q *queueFloor) enter() error {
	ahead, err := q.doorway()
	if err != nil {
		return err
	}
	if len(ahead) > 0 {
		if err := q.lock(unix.F_RDLCK, witnessByte, 1); err != nil {
			return err
		}
	}
	for len(ahead) > 0 {
		last := len(ahead) - 1
		waited, err := q.pass(ahead[last])
		if err != nil {
			return err
		}
		ahead = ahead[:last]
		if waited && last > 0 {
			if ahead, err = q.remaining(ahead); err != nil {
				return err
			}
		}
	}
	return q.in()
}

// doorway makes the own number final, and returns the lower tickets of a
// listing begun after that, in their order.
func (q *queueFloor) doorway() ([]queueTicket, error) {
	others, err := q.others(nil)
	if err != nil {
		return nil, err
	}
	if len(others) > 0 {
		top := slices.MaxFunc(others, queueTicket.compare).number
		if top >= q.own.number {
			if err := q.raise(top); err != nil {
				return nil, err
			}
			if others, err = q.others(others); err != nil {
				return nil, err
			}
		}
	}
	ahead := slices.DeleteFunc(others, func(t queueTicket) bool { return t.compare(q.own) > 0 })
	slices.SortFunc(ahead, queueTicket.compare)
	return ahead, nil
}

// others lists the other tickets that do not rest. The numbers of those that are
// known already are not read again: they only rise, and pass looks at them once
// more.
func (q *queueFloor) others(known []queueTicket) ([]queueTicket, error) {
	if err := q.list(); err != nil {
		return nil, err
	}
	var ts []queueTicket
	for _, name := range q.names {
		if name == q.own.name || !strings.HasPrefix(name, q.prefix) {
			continue
		}
		if i := slices.IndexFunc(known, func(t queueTicket) bool { return t.name == name }); i >= 0 {
			ts = append(ts, known[i])
			continue
		}
		if t, there, err := q.look(name); err != nil {
			return nil, err
		} else if there {
			ts = append(ts, t)
		}
	}
	return ts, nil
}

// look returns a ticket as it is now, unless it is gone or rests.
func (q *queueFloor) look(name string) (t queueTicket, there bool, err error) {
	var st unix.Stat_t
	err = unix.Fstatat(q.dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return t, false, nil
	}
	return queueTicket{name, st.Mtim.Nano()}, st.Atim.Nano() != restMark, err
}

// remaining returns those of these tickets that are ahead still.
func (q *queueFloor) remaining(ahead []queueTicket) ([]queueTicket, error) {
	still := ahead[:0]
	for _, t := range ahead {
		now, there, err := q.look(t.name)
		if err != nil {
			return nil, err
		}
		if there && now.compare(q.own) < 0 {
			still = append(still, now)
		}
	}
	return still, nil
}

// list reads the names of everything in the directory.
func (q *queueFloor) list() error {
	if _, err := unix.Seek(q.dir, 0, unix.SEEK_SET); err != nil {
		return err
	}
	q.names = q.names[:0]
	for {
		n, err := unix.Getdents(q.dir, q.buf)
		if n == 0 || err != nil {
			return err
		}
		_, _, q.names = unix.ParseDirent(q.buf[:n], -1, q.names)
	}
}

// number reads the own number.
func (q *queueFloor) number() (int64, error) {
	var st unix.Stat_t
	err := unix.Fstat(q.fd, &st)
	return st.Mtim.Nano(), err
}

// raise makes the own number higher than top.
func (q *queueFloor) raise(top int64) error {
	err := q.stamp(top+1, top+1)
	if err != nil {
		return err
	}
	if q.own.number, err = q.number(); err == nil && q.own.number <= top {
		err = fmt.Errorf("%s: no nanoseconds are kept here", q.path)
	}
	return err
}

// pass waits until t is no longer ahead, and reports whether it had to.
func (q *queueFloor) pass(t queueTicket) (waited bool, err error) {
	const events = unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_CLOSE_WRITE | unix.IN_ONESHOT
	for ; ; waited = true {
		wd, err := unix.InotifyAddWatch(q.inotify, q.path[:q.base]+t.name, events)
		if err == unix.ENOENT {
			return waited, nil
		}
		if err != nil {
			return waited, err
		}
		// Looked at only now that the watch is set: its owner may have raised
		// it, or removed it, since it was listed.
		if passed, err := q.passed(t); passed || err != nil {
			return waited, err
		}
		if err := q.await(wd); err != nil {
			return waited, err
		}
	}
}

// passed reports whether t is gone, rests, or has risen above ours.
func (q *queueFloor) passed(t queueTicket) (bool, error) {
	fd, err := unix.Openat(q.dir, t.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	unix.Close(fd)
	return st.Atim.Nano() == restMark || q.own.compare(queueTicket{t.name, st.Mtim.Nano()}) < 0, err
}

// await sleeps until a watch has fired. What earlier ones have left to be read
// is skipped. The notice that this one is used up counts too, since a watch
// that is set again in the moment in which it fires may end with the old one.
func (q *queueFloor) await(wd int) error {
	const overflow = -1 // in place of a watch: events were lost
	for {
		n, err := unix.Read(q.inotify, q.events[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		// Events of files carry no name, so that all have one size.
		for event := range slices.Chunk(q.events[:n], unix.SizeofInotifyEvent) {
			if of := int(int32(binary.NativeEndian.Uint32(event))); of == wd || of == overflow {
				return nil
			}
		}
	}
}
