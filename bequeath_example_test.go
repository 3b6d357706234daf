//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"

	"github.com/filelock-go/filelock"
)

// startAndLeave starts a command that goes on under the lock, with all that it starts
// in turn, and leaves the lock to it.
func startAndLeave(lock *filelock.FileLock, command *exec.Cmd) error {
	witness, err := lock.Witness()
	if err != nil {
		return err
	}
	command.ExtraFiles = append(command.ExtraFiles, witness)
	err = command.Start()
	if closed := witness.Close(); err == nil { // or this process were an heir, too
		err = closed
	}
	if err != nil {
		return err // the lock is still held here
	}
	return lock.Bequeath()
}

// The lock of a job that goes on in the background is held until that ends.
func ExampleFileLock_Bequeath() {
	path, remove := scratch()
	defer remove()
	lock, err := filelock.New(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := lock.Acquire(context.Background()); err != nil {
		log.Fatal(err)
	}
	job := exec.Command("cat") // works until its input ends
	input, work, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	job.Stdin = input
	if err := startAndLeave(lock, job); err != nil {
		log.Fatal(err)
	}
	fmt.Println("held here:", lock.Held())
	fmt.Println("busy:", errors.Is(lock.TryLock(), filelock.ErrLocked))

	work.Close() // the job has nothing more to do
	if err := lock.Acquire(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("held here:", lock.Held())
	if err := errors.Join(lock.Unlock(), job.Wait(), input.Close()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// held here: false
	// busy: true
	// held here: true
}
