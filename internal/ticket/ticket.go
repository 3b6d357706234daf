// Package ticket is the codec of ticket names. It is pure: nothing here
// touches a filesystem.
//
// A ticket's name is
//
//	<target>.lock.<hostname>.<pid>.<token>.pid
//
// and everything that must be known to queue is in it, complete from the
// moment the file exists. The token of our own tickets is
//
//	<nonce>-<start>-<pidspace>-<place>-<kind>
//
// Any other token makes a plain ticket, one of a program that follows the
// simpler rule of the Python package simple-file-lock.
package ticket

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/filelock-go/filelock/internal/queue"
)

const (
	infix     = ".lock."
	suffix    = ".pid"
	raisedEnd = ".raised"

	maxHost  = 64
	nonceLen = 32
	hashLen  = 8
	// numberLen is the length of a number in a raised entry's name: seconds
	// and nanoseconds in hexadecimal.
	numberLen = 16 + 8

	// maxName is what every filesystem we know of takes.
	maxName = 255
	// maxTail is the longest that can follow the target's base name: the tail
	// of a raised entry's name, which is longer than a ticket's.
	maxTail = len(infix) + maxHost + 1 + 10 + 1 + // hostname, pid
		nonceLen + 1 + 16 + 1 + hashLen + 1 + hashLen + 1 + 1 + 10 + // token
		1 + numberLen + len(raisedEnd)
	maxBase = maxName - maxTail
)

// Name is what a ticket's name says.
type Name struct {
	Host string
	PID  int

	// Plain tickets end here; Token is set for them only.
	Plain bool
	Token string

	Nonce    string        // 32 hexadecimal digits
	Start    uint64        // the process's start in ticks since boot; 0 is unknown
	PIDSpace Hash          // boot and pid namespace
	Place    Hash          // what the owner saw of the directory's filesystem (liveness.Place); 0: no locks there
	Shared   bool          // kind s rather than x
	Lease    time.Duration // whole seconds; 0 is none
}

// Hash identifies something without telling what. Zero is "unknown" and equals
// nothing.
type Hash uint32

// HashOf returns the hash of parts, FNV-1a over each and a zero byte. It is never zero.
// (Package hash/fnv allocates, and has the runtime make tables of methods: a thirtieth of a
// process's first acquisition.)
func HashOf(parts ...string) Hash {
	const offset, prime = 14695981039346656037, 1099511628211
	sum := uint64(offset)
	for _, part := range parts {
		for i := range len(part) {
			sum = (sum ^ uint64(part[i])) * prime
		}
		sum *= prime // of the zero byte
	}
	return max(1, Hash(sum^sum>>32))
}

// text returns the hash as it is written in names.
func (h Hash) text() string {
	var b [hashLen]byte
	for i := range b {
		b[i] = "0123456789abcdef"[h>>(4*(hashLen-1-i))&0xf]
	}
	return string(b[:])
}

// Same reports whether both are known and equal.
func (h Hash) Same(o Hash) bool { return h != 0 && h == o }

// NewNonce returns 32 random hexadecimal digits.
func NewNonce() string { return string(AppendNonce(nil)) }

// AppendNonce appends 32 random hexadecimal digits to b.
func AppendNonce(b []byte) []byte {
	var random [nonceLen / 2]byte
	fillRandom(random[:])
	return hex.AppendEncode(b, random[:])
}

// Hostname returns host as it is written in our tickets: every byte outside
// [A-Za-z0-9_-] becomes an underscore, so that no dot confuses a parser.
func Hostname(host string) string {
	b := []byte(host[:min(len(host), maxHost)])
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			b[i] = '_'
		}
	}
	if len(b) == 0 {
		return "_"
	}
	return string(b)
}

// Prefix returns what the names of all tickets of a target begin with. base is
// the target's base name; one that would make names too long is shortened by a
// rule that depends on base alone, so that all contenders agree.
func Prefix(base string) string {
	if len(base) > maxBase {
		base = shorten(base, base)
	}
	return base + infix
}

// PrefixIn is Prefix for a queue directory that many targets share.
func PrefixIn(base, fullPath string) string { return shorten(base, fullPath) + infix }

// shorten returns the beginning of base, and a hash of identity.
func shorten(base, identity string) string {
	const hashed = 16
	if cut := maxBase - 1 - hashed; len(base) > cut {
		for cut > maxBase/2 && !utf8.RuneStart(base[cut]) {
			cut--
		}
		base = base[:cut]
	}
	sum := sha256.Sum256([]byte(identity))
	return base + "~" + hex.EncodeToString(sum[:hashed/2])
}

// Format returns the ticket's name. For our own tickets only.
func (n Name) Format(prefix string) string {
	head, tail := n.Frame(prefix)
	return head + n.Nonce + tail
}

// Frame returns what stands before and after the nonce, the only part in which
// the tickets of one process for one queue differ.
func (n Name) Frame(prefix string) (head, tail string) {
	kind := "-x"
	if n.Shared {
		kind = "-s"
	}
	if n.Lease > 0 {
		kind += strconv.FormatInt(int64(n.Lease/time.Second), 10)
	}
	return prefix + n.Host + "." + strconv.Itoa(n.PID) + ".",
		"-" + strconv.FormatUint(n.Start, 16) + "-" + n.PIDSpace.text() + "-" + n.Place.text() + kind + suffix
}

// Parse reads a ticket's name. It reports false for what is no ticket of the
// queue with this prefix.
//
// The name is read from the right, because hostnames that others wrote may
// have dots. A token of our own form with such a hostname is a ticket of
// another target, whose name goes on after ".lock.": ours have no dots.
func Parse(prefix, name string) (Name, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return Name{}, false
	}
	if rest, ok = strings.CutSuffix(rest, suffix); !ok {
		return Name{}, false
	}
	rest, token, ok := cutLast(rest)
	if !ok || token == "" {
		return Name{}, false
	}
	host, pidText, ok := cutLast(rest)
	if !ok || host == "" {
		return Name{}, false
	}
	pid, err := strconv.ParseInt(pidText, 10, 64)
	if err != nil || pid <= 0 || pid > 1<<32 || pidText != strconv.FormatInt(pid, 10) {
		return Name{}, false
	}
	n := Name{Host: host, PID: int(pid)}
	if !n.parseToken(token) {
		return Name{Host: host, PID: int(pid), Plain: true, Token: token}, true
	}
	return n, !strings.Contains(host, ".")
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// parseToken reads a token of our form. It takes only what Format writes, so
// that a name has one meaning. It runs for every ticket of every listing, and
// allocates nothing.
func (n *Name) parseToken(token string) bool {
	nonce, rest, _ := strings.Cut(token, "-")
	startText, rest, _ := strings.Cut(rest, "-")
	pidSpace, rest, _ := strings.Cut(rest, "-")
	place, kind, _ := strings.Cut(rest, "-")
	if len(nonce) != nonceLen || !isHex(nonce) || kind == "" || kind[0] != 'x' && kind[0] != 's' {
		return false
	}
	if startText == "" || !isHex(startText) || startText[0] == '0' && startText != "0" {
		return false
	}
	start, err := strconv.ParseUint(startText, 16, 64)
	if err != nil {
		return false
	}
	var ok1, ok2, ok3 bool
	n.PIDSpace, ok1 = parseHash(pidSpace)
	n.Place, ok2 = parseHash(place)
	n.Lease, ok3 = parseLease(kind[1:])
	n.Nonce, n.Start, n.Shared = nonce, start, kind[0] == 's'
	return ok1 && ok2 && ok3
}

func parseHash(text string) (Hash, bool) {
	if len(text) != hashLen || !isHex(text) {
		return 0, false
	}
	v, err := strconv.ParseUint(text, 16, 32)
	return Hash(v), err == nil
}

func isHex(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func parseLease(text string) (time.Duration, bool) {
	if text == "" {
		return 0, true
	}
	sec, err := strconv.ParseUint(text, 10, 32)
	if err != nil || sec == 0 || text != strconv.FormatUint(sec, 10) {
		return 0, false
	}
	return time.Duration(sec) * time.Second, true
}

// Raised returns the name of the entry that announces a ticket's raised number.
func Raised(ticket string, n queue.Number) string {
	return fmt.Sprintf("%s.%016x%08x%s", strings.TrimSuffix(ticket, suffix), uint64(n.Sec), uint32(n.Nsec), raisedEnd)
}

// ParseRaised reads the name of a raised entry.
func ParseRaised(name string) (ticket string, n queue.Number, ok bool) {
	rest, ok := strings.CutSuffix(name, raisedEnd)
	if !ok {
		return "", n, false
	}
	rest, digits, ok := cutLast(rest)
	if !ok || len(digits) != numberLen || !isHex(digits) {
		return "", n, false
	}
	sec, _ := strconv.ParseUint(digits[:16], 16, 64)
	nsec, _ := strconv.ParseUint(digits[16:], 16, 32)
	if nsec >= 1e9 {
		return "", n, false
	}
	return rest + suffix, queue.Number{Sec: int64(sec), Nsec: int32(nsec)}, true
}

// Merge gives each ticket the larger of its number and those of its raised
// entries (rule R10), and returns the entries that belong to no ticket.
func Merge(tickets []queue.Ticket, raised []string) (orphans []string) {
	return MergeIf(tickets, raised, func(string, string) bool { return true })
}

// MergeIf is Merge, but an entry of a ticket means something only if counts
// says so.
func MergeIf(tickets []queue.Ticket, raised []string, counts func(entry, ticket string) bool) (orphans []string) {
	if len(raised) == 0 {
		return nil
	}
	// Anybody may make any number of entries: not each against each.
	at := make(map[string]*queue.Ticket, len(tickets))
	for i := range tickets {
		at[tickets[i].Name] = &tickets[i]
	}
	for _, entry := range raised {
		name, n, ok := ParseRaised(entry)
		if !ok {
			continue
		}
		t := at[name]
		switch {
		case t == nil:
			orphans = append(orphans, entry)
		case t.Number.Compare(n) < 0 && counts(entry, name):
			t.Number = n
		}
	}
	return orphans
}
