// Command counter shows the lock at work on real files. It starts several
// processes, each of which adds one to the number in a file again and again:
// read, add, write. With the lock nothing is lost; with -unsafe they go without
// it, and additions are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/filelock-go/filelock"
)

var (
	processes = flag.Int("processes", 8, "how many processes, 1 to 26")
	adds      = flag.Int("adds", 100, "how often each adds")
	unsafe    = flag.Bool("unsafe", false, "go without the lock")
	letter    = flag.String("letter", "", "be one of the processes (the program starts these itself)")
	dir       = flag.String("dir", "", "where the files are (with -letter)")
)

func main() {
	flag.Parse()
	task := parent
	if *letter != "" {
		task = child
	}
	if err := task(); err != nil {
		fmt.Fprintln(os.Stderr, "counter:", err)
		os.Exit(1)
	}
}

// child is one of the processes.
func child() error {
	lock, err := filelock.New(filepath.Join(*dir, "counter"))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := os.Stdin.Read(make([]byte, 1)); err == nil { // it ends when all are ready
		return errors.New("unexpected input")
	}
	for range *adds {
		if *unsafe {
			err = add(lock.Path())
		} else {
			err = lock.Do(context.Background(), func(context.Context) error { return add(lock.Path()) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add adds one to the number in the file, and notes who did.
func add(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(text))
	if err != nil && !*unsafe { // another may just be writing it
		return err
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(n+1)), 0o666); err != nil {
		return err
	}
	served, err := os.OpenFile(filepath.Join(*dir, "served"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	_, err = served.WriteString(*letter)
	return errors.Join(err, served.Close())
}

// parent starts the processes and looks at what they have done.
func parent() error {
	if *processes < 1 || *processes > 26 || *adds < 1 {
		return errors.New("want 1 to 26 processes and at least one addition each")
	}
	tmp, err := os.MkdirTemp("", "counter")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	file := filepath.Join(tmp, "counter")
	if err := os.WriteFile(file, []byte("0"), 0o666); err != nil {
		return err
	}
	took, err := runAll(tmp)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	served, err := os.ReadFile(filepath.Join(tmp, "served"))
	if err != nil {
		return err
	}
	return report(string(text), string(served), took)
}

func report(text, served string, took time.Duration) error {
	expected := *processes * *adds
	how := "with the lock"
	if *unsafe {
		how = "without the lock"
	}
	fmt.Printf("%d processes, %d additions each, %s\n", *processes, *adds, how)
	fmt.Printf("sum       %s\n", text)
	fmt.Printf("expected  %d\n", expected)
	fmt.Printf("served    %s (each letter is a process)\n", shorten(served, 60))
	fmt.Printf("          at most %d turns of others between two of one process\n", longestGap(served))
	fmt.Printf("took      %v, %.0f additions a second\n", took.Round(time.Millisecond), float64(expected)/took.Seconds())
	if sum, err := strconv.Atoi(text); err != nil || sum != expected {
		return fmt.Errorf("%d additions were lost", expected-sum)
	}
	if !*unsafe {
		fmt.Println("Nothing was lost. To see it without the lock: go run ./examples/counter -unsafe")
	}
	return nil
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}

// longestGap returns the greatest number of turns that others had between two
// of the same process.
func longestGap(served string) (longest int) {
	for _, one := range strings.Split("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:*processes], "") {
		turns := strings.Split(served, one)
		for _, others := range turns[1 : max(len(turns), 2)-1] {
			longest = max(longest, len(others))
		}
	}
	return longest
}
