package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/filelock-go/filelock"
)

// The code of docs/recipes.md, and examples that run it. TestDocsCode compares
// the page with this file.

// once does the work, unless another process is at it or waits to be.
func once(lock *filelock.FileLock, work func() error) (done bool, err error) {
	switch err := lock.TryLock(); {
	case errors.Is(err, filelock.ErrLocked):
		return false, nil // no failure: somebody does it
	case err != nil:
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	return true, work()
}

func Example_cron() {
	path, remove := scratch()
	defer remove()

	lock, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	done, err := once(lock, func() error {
		// A job that starts while this one runs is the other process.
		done, err := once(lock, func() error { return nil })
		fmt.Println("the second one:", done, err)
		return nil
	})
	fmt.Println("the first one:", done, err)
	// Output:
	// the second one: false <nil>
	// the first one: true <nil>
}

// oneAtATime has requests wait for the lock, and answers 503 to those that waited
// for longer than the lock's timeout.
func oneAtATime(lock *filelock.FileLock, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		release, err := lock.Hold(r.Context())
		var busy *filelock.BusyError
		switch {
		case errors.As(err, &busy):
			w.Header().Set("Retry-After", "5")
			http.Error(w, "busy: "+holderOf(busy)+" is at it", http.StatusServiceUnavailable)
			return
		case err != nil:
			log.Print(err) // it has paths in it, which are nobody's business
			http.Error(w, "the lock cannot be had", http.StatusInternalServerError)
			return
		}
		defer func() {
			if err := release(); err != nil {
				log.Print(err)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// holderOf names who is in the way, as far as is known.
func holderOf(busy *filelock.BusyError) string {
	if busy.Holder.Path == "" {
		return "somebody" // who had left before it could be looked at
	}
	return fmt.Sprintf("process %d on %q", busy.Holder.PID, busy.Holder.Host) // the host as its ticket has it
}

func Example_http() {
	path, remove := scratch()
	defer remove()

	lock, err := filelock.New(path, filelock.WithTimeout(10*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	export := oneAtATime(lock, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "the export")
	}))
	get := func() *http.Response {
		w := httptest.NewRecorder()
		export.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/export", nil))
		return w.Result()
	}

	err = lock.Do(context.Background(), func(context.Context) error {
		answer := get()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		self := fmt.Sprintf("busy: process %d on ", os.Getpid())
		fmt.Println(answer.Status, answer.Header.Get("Retry-After"), string(text[:len(self)]) == self)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(get().Status)
	// Output:
	// 503 Service Unavailable 5 true
	// 200 OK
}

// lead does the work of the one leader: it waits to become it, and queues again
// when it is not it any more. The lock should have a lease. work must end when its
// context does, and soon: another may be the leader by then.
func lead(ctx context.Context, lock *filelock.FileLock, work func(context.Context) error) error {
	for {
		err := lock.Do(ctx, work)
		if ctx.Err() != nil || !errors.Is(err, filelock.ErrLost) {
			return err
		}
		log.Print(err)
	}
}

// rewrite changes a file's content. Those who read the file without the lock see
// the old content or the new one, and so does who comes after a crash.
func rewrite(ctx context.Context, path string, change func(old []byte) ([]byte, error)) error {
	lock, err := filelock.New(path)
	if err != nil {
		return err
	}
	return lock.Do(ctx, func(context.Context) error {
		old, err := os.ReadFile(lock.Path())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		content, err := change(old)
		if err != nil {
			return err
		}
		return replace(lock.Path(), content)
	})
}

// replace puts a file with this content in the place of another, or of none.
func replace(path string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func Example_atomicWrite() {
	path, remove := scratch()
	defer remove()

	for range 3 {
		err := rewrite(context.Background(), path, func(old []byte) ([]byte, error) {
			return append(old, 'x'), nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", content)
	// Output: xxx
}

// explain writes who holds the lock of path and who waits for it, and why each is
// thought to live or not.
func explain(w io.Writer, path string, opts ...filelock.Option) error {
	q, err := filelock.Inspect(path, opts...)
	if err != nil {
		return err
	}
	for _, t := range q.Tickets {
		fmt.Fprintf(w, "%s\n\tticket %q\n", t, t.Path)
	}
	return nil
}

func Example_stuck() {
	path, remove := scratch()
	defer remove()

	lock, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	var text strings.Builder
	err = lock.Do(context.Background(), func(context.Context) error { return explain(&text, path) })
	if err != nil {
		log.Fatal(err)
	}
	who, _, _ := strings.Cut(text.String(), ",")
	fmt.Println(who)
	// Output: this process
}
