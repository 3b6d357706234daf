package filelock

import (
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/filelock-go/filelock/engine"
)

const (
	// DefaultPollInterval is how often a waiter looks for itself.
	DefaultPollInterval = 100 * time.Millisecond
	// DefaultBatch is how long a process may pass the lock among its own
	// goroutines while other processes wait.
	DefaultBatch = time.Millisecond
	// DefaultLinger is how long a ticket may rest between two uses of a lock.
	DefaultLinger = 50 * time.Millisecond
	// DefaultFileMode is the permission of tickets, whatever the umask.
	DefaultFileMode fs.FileMode = 0o644
)

// Option configures a FileLock, an inspection or a reaping.
type Option interface{ apply(*config) error }

type optionFunc func(*config) error

func (f optionFunc) apply(c *config) error { return f(c) }

type config struct {
	poll       time.Duration
	timeout    time.Duration
	batch      time.Duration
	linger     time.Duration
	lease      time.Duration
	reentrant  bool
	plainPeers bool
	fencing    bool
	flockPeers bool
	flockFile  string // "": the target
	createDirs bool
	queueDir   string
	label      string
	onWait     func(Wait)
	mode       fs.FileMode
	log        Logger
	slog       *slog.Logger
	engine     engine.Engine
	forFiles   []string // options given that only a directory's queue has
}

func newConfig(opts []Option) (config, error) {
	c := config{
		poll:   DefaultPollInterval,
		batch:  DefaultBatch,
		linger: DefaultLinger,
		mode:   DefaultFileMode,
	}
	for i, o := range opts {
		if o == nil {
			return c, fmt.Errorf("%w: option %d is nil", ErrInvalid, i)
		}
		if err := o.apply(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// WithPollInterval sets how often a waiter looks at the queue for itself, more
// than zero. The default is 100 ms. Where the kernel reports all changes of
// the ticket that is waited for, as on a local filesystem of Linux, polling is
// a safety net only, and the interval is a hundred to six hundred times this.
//
// A deadline, a timeout or a cancellation ends a wait at its own moment,
// whatever the poll interval.
func WithPollInterval(d time.Duration) Option {
	return optionFunc(func(c *config) error {
		if d <= 0 {
			return fmt.Errorf("%w: poll interval %v is not positive", ErrInvalid, d)
		}
		c.poll = d
		return nil
	})
}

// WithTimeout limits each blocking acquisition to d; it then fails with an
// error that matches ErrTimeout and context.DeadlineExceeded. The default, and
// 0, is no limit but the context's. TryLock and TryAcquire do not wait, and know no
// such limit.
func WithTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) error {
		if d < 0 {
			return fmt.Errorf("%w: timeout %v is negative", ErrInvalid, d)
		}
		c.timeout = d
		return nil
	})
}

// WithBatch sets for how long a process may pass the lock from one of its
// goroutines to the next, counted from the moment it was its turn, before other
// processes that wait are served. The default is 1 ms; 0 is never.
//
// Such a pass costs no system call, and so does not look whether the ticket is
// still there: if somebody deleted it, the last goroutine of the batch learns
// of that when it gives the lock back. Without batches every one does.
//
// Who shares the lock joins those of its process that are inside, for as long and for no
// system call; without batches only those that wait together come in together. Each of
// them looks whether the ticket is still there when it gives the lock back.
func WithBatch(d time.Duration) Option {
	return optionFunc(func(c *config) error {
		if d < 0 {
			return fmt.Errorf("%w: batch %v is negative", ErrInvalid, d)
		}
		c.batch = d
		return nil
	})
}

// WithLinger sets for how long a process may keep its ticket after it has given
// the lock back, to come back to it: the default is 50 ms, and 0 is never.
//
// A lock that one process uses again and again then costs a few cheap system
// calls instead of a new file each time. Such a ticket rests: nobody holds the lock
// by it, the next contender removes it, and a try is not refused for it. While
// others wait it rests at the tail of the queue (but in memory, where another ticket
// costs no more), and its owner gets in line from there. Whose ticket was gone when it
// came back does without a rest for some uses. It rests only from the second use within d on, so a lock that is used once
// leaves nothing behind; and after d without use it is removed. A process that ends
// before that leaves one empty file, which the next contender removes; Close removes
// it at once. A ticket that rests serves acquisitions of its own kind, shared or not.
// Of several times that are given for one path, the last one used counts.
//
// Tickets rest on local filesystems of Linux only, and only where whoever comes can
// see that and remove them: not in sticky directories such as /tmp, nor with a file
// mode that is not for all to read; nor with WithLease or WithPlainPeers, nor once
// Witness was called. While one rests, the directory is open, and cannot be
// unmounted.
func WithLinger(d time.Duration) Option {
	return optionFunc(func(c *config) error {
		if d < 0 {
			return fmt.Errorf("%w: linger %v is negative", ErrInvalid, d)
		}
		c.linger = d
		return nil
	})
}

// WithReentrant lets an owner acquire the lock again while it holds it. The
// owner is named by the context, see ContextWithOwner; acquiring with a
// context that names none fails with ErrNoOwner.
//
// Without this option, which is the default, an owner's second acquisition
// fails with ErrDeadlock. With it, one that is to exclude more than what is held does
// fails so, too: exclusively where that is shared (see AcquireShared), or with
// WithFlockPeers or WithPlainPeers where that was acquired without. The other way round
// it is one hold more.
func WithReentrant() Option {
	return optionFunc(func(c *config) error { c.reentrant = true; return nil })
}

// WithLogger has every step logged at debug level: enqueue, wait, acquire,
// release, bequeath, leave, skip (a dead one's ticket could not be removed, and was passed
// by), restart (the ticket was taken away while it waited); and at
// warn level what an operator may want to know: reclaim (a ticket of a dead or
// stalled owner was removed), lost, and left behind (a ticket could not be
// removed). The default logs nothing. A *zap.Logger is a Logger.
//
// Every entry has the fields path (the target) and ticket (the name of the ticket's file
// without "<target>.lock." and ".pid"). A wait says for whose ticket (for, host, pid), who
// is first in the queue and so holds the lock, most likely (holder_host, holder_pid), and
// which position the own ticket has, where the holder's is 1. The logger is named
// "filelock", behind the name that log has; there is no caller, which would be in this
// package. A logger must neither panic nor end its goroutine, as a failing test does: it
// is called amid acquiring and releasing, and the lock may stay held.
func WithLogger(log Logger) Option {
	return optionFunc(func(c *config) error {
		if log == nil {
			return fmt.Errorf("%w: logger is nil", ErrInvalid)
		}
		c.log = log
		return nil
	})
}

// WithSlog is WithLogger for log/slog: it has the same events written, at the same
// levels and with the same fields, and "filelock" as the field logger. Each of the
// two options adds to the other; of several of the same kind the last one counts.
func WithSlog(log *slog.Logger) Option {
	return optionFunc(func(c *config) error {
		if log == nil {
			return fmt.Errorf("%w: logger is nil", ErrInvalid)
		}
		c.slog = log
		return nil
	})
}

// WithFileMode gives tickets exactly this permission, whatever the umask or a
// default ACL says. The default is 0644: tickets hold no secret, and whoever may
// read them can see whether their owners live.
//
// The owner must be allowed to read and write. To those who may not read a
// ticket its owner is Unknown, however dead: it blocks them until somebody who
// may read it removes it.
func WithFileMode(mode fs.FileMode) Option {
	return optionFunc(func(c *config) error {
		if mode&^fs.ModePerm != 0 || mode&0o600 != 0o600 {
			return fmt.Errorf("%w: file mode %v: want permission bits, among them 0600", ErrInvalid, mode)
		}
		c.mode = mode
		c.forFiles = append(c.forFiles, "WithFileMode")
		return nil
	})
}

// WithCreateDirs has missing directories created, with permission 0777 less
// the umask. Without it, which is the default, a missing directory is an error
// that matches fs.ErrNotExist.
func WithCreateDirs() Option {
	return optionFunc(func(c *config) error {
		c.createDirs = true
		c.forFiles = append(c.forFiles, "WithCreateDirs")
		return nil
	})
}

// WithQueueDir keeps tickets in dir rather than beside the target: for targets
// in directories that are read-only, very large, or on a filesystem that is
// slow or shared. Only contenders that use the same queue directory, by
// whatever spelling, exclude each other, and only if they see the target under
// the same path: a container that has it elsewhere has another lock. Relative
// paths count from the working directory at the time of New.
func WithQueueDir(dir string) Option {
	return optionFunc(func(c *config) error {
		if dir == "" {
			return fmt.Errorf("%w: queue directory is empty", ErrInvalid)
		}
		abs, err := absolute(dir)
		if err != nil {
			return err
		}
		c.queueDir = abs
		c.forFiles = append(c.forFiles, "WithQueueDir")
		return nil
	})
}

// WithPlainPeers makes the lock safe beside programs that follow the plain rule
// of the Python package simple-file-lock (create a ticket, list, the lowest
// enters), for the price of three more system calls an acquisition. Every
// contender that is not such a program must use it. Off by default.
//
// It closes the races between them and us; those between two such programs
// stay theirs. While they interfere, they may be served out of order. While it
// is held, the ticket's time is the epoch, and so is what errors and Inspect say
// of when it was queued. On filesystems that cache attributes (sshfs, SMB, some
// FUSE) it cannot be promised.
func WithPlainPeers() Option {
	return optionFunc(func(c *config) error {
		c.plainPeers = true
		c.forFiles = append(c.forFiles, "WithPlainPeers")
		return nil
	})
}
