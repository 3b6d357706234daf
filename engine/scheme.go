package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// ErrNoScheme is matched by the error of Locate for a URL of a scheme that nobody has
// registered.
var ErrNoScheme = errors.New("no such lock service is built in")

// A Service is an Engine over a connection that belongs to it.
type Service interface {
	Engine
	// Close ends the connection. Before that it waits until all that is still to be
	// cleaned up in the background is done, or ctx is: then the error matches
	// ErrUnavailable, and what is left ends with its lease. Locks cannot be used
	// after it.
	Close(ctx context.Context) error
}

// A Location is a lock in a lock service, as a URL names it.
type Location struct {
	// Service names the service and the way to it, and has no secret in it. Locations
	// with the same one can use one connection; two locations are one lock if Service
	// and Name are equal.
	Service string
	// Name is the lock's, for filelock.New with filelock.WithEngine.
	Name string
	// Lease is what the URL asks for; 0: nothing.
	Lease time.Duration
	// Connect returns a connection, until ctx is done. It need not talk to the service.
	// If ctx ends it, the error matches ErrUnavailable; who is refused gets one that
	// matches fs.ErrPermission.
	Connect func(ctx context.Context) (Service, error)
}

// schemes are the functions that understand URLs.
var schemes = struct {
	mu     sync.Mutex
	locate map[string]func(url string) (Location, error)
}{locate: map[string]func(string) (Location, error){}}

// Register has Locate understand the URLs of one more scheme, in lower case, by locate,
// which is given the whole URL and does not talk to the service. Packages of engines call
// it from an init function. It panics if the scheme is registered already. It is safe for
// use by several goroutines.
func Register(scheme string, locate func(url string) (Location, error)) {
	schemes.mu.Lock()
	defer schemes.mu.Unlock()
	if schemes.locate[scheme] != nil {
		panic(fmt.Sprintf("engine: Register was called twice for the scheme %q", scheme))
	}
	schemes.locate[scheme] = locate
}

// Locate returns what a URL names, for programs that are told by their users which
// lock to take. It does not talk to the service. The error matches ErrNoScheme if
// nobody has registered the URL's scheme; others are of what is wrong with the URL, or
// with the environment that it relies on. It is safe for use by several goroutines.
func Locate(url string) (Location, error) {
	scheme, _ := Scheme(url)
	schemes.mu.Lock()
	locate := schemes.locate[scheme]
	schemes.mu.Unlock()
	if locate == nil {
		return Location{}, fmt.Errorf("%w: %q", ErrNoScheme, scheme)
	}
	return locate(url)
}

// Scheme returns the scheme of text, in lower case, if text has the form of a URL with
// an authority: two or more letters, digits, plus signs, dots or dashes, a letter first,
// and then "://". A path has that form only if it is written with two slashes where one
// would do. (One letter is a drive of Windows.)
func Scheme(text string) (scheme string, ok bool) {
	scheme, _, ok = strings.Cut(text, "://")
	if !ok || len(scheme) < 2 {
		return "", false
	}
	scheme = strings.ToLower(scheme)
	for i, c := range []byte(scheme) {
		switch {
		case 'a' <= c && c <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return "", false
		}
	}
	return scheme, true
}
