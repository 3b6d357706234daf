//go:build unix

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a command for the scripts to run under the lock:
//
//	child [-pid FILE] [-heard FILE] [-until FILE] [-code N] [-close]
//
// It writes its pid to one file, notes the signals it gets in another, and
// ends when a third one appears, or after TERM. Where neither comes, because the
// script failed, it ends all the same, for nobody else will end it. With -close, it
// closes the files that it inherited, as daemons do.
func child() {
	pid := flag.String("pid", "", "write the own pid here, once ready")
	heard := flag.String("heard", "", "note signals here, one a line, and do not die of them")
	until := flag.String("until", "", "end when this file appears")
	code := flag.Int("code", 0, "exit code")
	closing := flag.Bool("close", false, "close inherited files")
	winch := flag.Bool("winch", false, "note changes of the terminal's size, too")
	deaf := flag.Bool("deaf", false, "do not end after TERM")
	all := flag.Bool("all", false, "note all that can be noted")
	flag.Parse()
	for fd := 3; *closing && fd < 100; fd++ {
		if name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil && strings.HasPrefix(name, "/") {
			syscall.Close(fd)
		}
	}

	signals := make(chan os.Signal, 16)
	if *heard != "" {
		signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGALRM,
			syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2)
	}
	if *all {
		signal.Notify(signals)
		signal.Reset(syscall.SIGURG) // the Go runtime's own
	}
	if *winch {
		signal.Notify(signals, syscall.SIGWINCH)
	}
	if *pid != "" {
		must(replace(*pid, strconv.Itoa(os.Getpid())))
	}
	forgotten := time.After(3 * stuck)
	var text string
	for *until != "" || *heard != "" {
		select {
		case s := <-signals:
			text += s.String() + "\n"
			must(replace(*heard, text))
			if s == syscall.SIGTERM && !*deaf {
				os.Exit(*code)
			}
		case <-forgotten:
			must(errors.New("forgotten"))
		case <-time.After(5 * time.Millisecond):
		}
		if _, err := os.Stat(*until); err == nil {
			break
		}
	}
	os.Exit(*code)
}

// replace writes a file at once: who waits for it finds it complete.
func replace(name, text string) error {
	if err := os.WriteFile(name+".new", []byte(text), 0o666); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(99)
	}
}
