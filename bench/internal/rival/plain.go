package rival

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/filelock-go/filelock/internal/wake"
)

// plainPause is between two looks of a waiter.
const plainPause = time.Millisecond

// plain is the rule of the Python package simple-file-lock: create a ticket,
// list, the lowest (modification time, path) enters. Two tickets of one clock
// tick may both find themselves lowest.
var plain = Rival{
	Key: "plain", Name: "plain rule (1 ms polls)", Unsafe: true, Polls: true,
	Open: func(path string) (Lock, error) { return &plainLock{path: path}, nil },
}

type plainLock struct{ path, ticket string }

func (p *plainLock) Lock(ctx context.Context) error {
	var token [32]byte
	rand.Read(token[:])
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	p.ticket = fmt.Sprintf("%s.lock.%s.%d.%s.pid", p.path, host, os.Getpid(), hex.EncodeToString(token[:]))
	f, err := os.OpenFile(p.ticket, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	for {
		lowest, err := p.lowest()
		if err == nil && lowest {
			return nil
		}
		if err == nil {
			err = wake.Sleep(ctx, plainPause)
		}
		if err != nil {
			os.Remove(p.ticket)
			return err
		}
	}
}

func (p *plainLock) lowest() (bool, error) {
	own, err := os.Stat(p.ticket)
	if err != nil {
		return false, err
	}
	dir, prefix := filepath.Dir(p.path), filepath.Base(p.path)+".lock."
	entries, err := readDir(dir)
	if err != nil {
		return false, err
	}
	for _, name := range entries {
		if !strings.HasPrefix(name, prefix) || !strings.HasSuffix(name, ".pid") {
			continue
		}
		other, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			continue // released
		}
		if earlier(other, own) {
			return false, nil
		}
	}
	return true, nil
}

func readDir(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func earlier(a, b fs.FileInfo) bool {
	if !a.ModTime().Equal(b.ModTime()) {
		return a.ModTime().Before(b.ModTime())
	}
	return a.Name() < b.Name()
}

func (p *plainLock) Unlock() error { return os.Remove(p.ticket) }
func (p *plainLock) Close() error  { return nil }
