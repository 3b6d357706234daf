package worker

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Ring passes a token round the processes of a fleet through pipes: the least
// that a fair lock between processes has to do.
type Ring struct {
	First      bool // has the token first, and ends the round
	Poller     bool // let the Go runtime wait, rather than a thread in read
	Start, End int64
}

// RingResult is one process's part.
type RingResult struct {
	Turns   float64
	Elapsed int64 // the first process's
}

const (
	ringGo   = 0
	ringStop = 1
)

func (r Ring) run() (RingResult, error) {
	in, out, done, err := r.pipes()
	if err != nil {
		return RingResult{}, err
	}
	defer done()
	var res RingResult
	token := []byte{ringGo}
	time.Sleep(time.Until(time.Unix(0, r.Start)))
	began, end := time.Now(), time.Unix(0, r.End)
	if r.First {
		if _, err := out.Write(token); err != nil {
			return res, err
		}
	}
	for {
		if _, err := in.Read(token); err != nil {
			return res, err
		}
		if token[0] == ringStop && r.First {
			return res, nil
		}
		res.Turns++
		if r.First && time.Now().After(end) {
			res.Elapsed = int64(time.Since(began))
			token[0] = ringStop
		}
		stop := token[0] == ringStop
		if stop && !r.First {
			res.Turns-- // the round that ends it is not timed
		}
		if _, err := out.Write(token); err != nil {
			return res, err
		}
		if stop && !r.First {
			return res, nil
		}
	}
}

// pipes returns the ends of the ring's pipes. The inherited descriptors stay
// open for the next ring.
func (r Ring) pipes() (in io.Reader, out io.Writer, done func(), err error) {
	for _, fd := range []int{ringInFD, ringOutFD} {
		if err := unix.SetNonblock(fd, r.Poller); err != nil {
			return nil, nil, nil, err
		}
	}
	if !r.Poller {
		return rawPipe(ringInFD), rawPipe(ringOutFD), func() {}, nil
	}
	var files []*os.File
	for _, fd := range []int{ringInFD, ringOutFD} {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, nil, nil, err
		}
		files = append(files, os.NewFile(uintptr(dup), "ring"))
	}
	return files[0], files[1], func() { files[0].Close(); files[1].Close() }, nil
}

// rawPipe reads and writes with nothing between but the system call.
type rawPipe int

func (p rawPipe) Read(b []byte) (n int, err error) {
	for {
		if n, err = unix.Read(int(p), b); err != unix.EINTR {
			return n, err
		}
	}
}

func (p rawPipe) Write(b []byte) (int, error) { return unix.Write(int(p), b) }
