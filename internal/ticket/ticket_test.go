package ticket_test

import (
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

const nonce = "00112233445566778899aabbccddeeff"

// plainToken is what simple-file-lock writes: 64 hexadecimal digits.
var plainToken = strings.Repeat("0123456789abcdef", 4)

// longest is the ticket with the longest name that Format can write and Parse
// can read.
var longest = ticket.Name{
	Host: strings.Repeat("h", 64), PID: math.MaxInt32, Nonce: nonce,
	Start: math.MaxUint64, PIDSpace: math.MaxUint32, Place: math.MaxUint32,
	Shared: true, Lease: math.MaxUint32 * time.Second,
}

// TestNames has every field of the format: the name is what Format writes, and
// Parse reads the same back.
func TestNames(t *testing.T) {
	base := ticket.Name{Host: "web-1", PID: 4242, Nonce: nonce, Start: 0xabc, PIDSpace: 0x12345678, Place: 0x9abcdef0}
	with := func(change func(*ticket.Name)) ticket.Name {
		n := base
		change(&n)
		return n
	}
	for name, tt := range map[string]struct {
		name ticket.Name
		want string
	}{
		"exclusive":     {base, "web-1.4242." + nonce + "-abc-12345678-9abcdef0-x.pid"},
		"shared":        {with(func(n *ticket.Name) { n.Shared = true }), "web-1.4242." + nonce + "-abc-12345678-9abcdef0-s.pid"},
		"lease":         {with(func(n *ticket.Name) { n.Lease = 30 * time.Second }), "web-1.4242." + nonce + "-abc-12345678-9abcdef0-x30.pid"},
		"shared lease":  {with(func(n *ticket.Name) { n.Shared, n.Lease = true, time.Second }), "web-1.4242." + nonce + "-abc-12345678-9abcdef0-s1.pid"},
		"no start":      {with(func(n *ticket.Name) { n.Start = 0 }), "web-1.4242." + nonce + "-0-12345678-9abcdef0-x.pid"},
		"late start":    {with(func(n *ticket.Name) { n.Start = math.MaxUint64 }), "web-1.4242." + nonce + "-ffffffffffffffff-12345678-9abcdef0-x.pid"},
		"no hashes":     {with(func(n *ticket.Name) { n.PIDSpace, n.Place = 0, 0 }), "web-1.4242." + nonce + "-abc-00000000-00000000-x.pid"},
		"short hashes":  {with(func(n *ticket.Name) { n.PIDSpace, n.Place = 1, 2 }), "web-1.4242." + nonce + "-abc-00000001-00000002-x.pid"},
		"smallest pid":  {with(func(n *ticket.Name) { n.PID = 1 }), "web-1.1." + nonce + "-abc-12345678-9abcdef0-x.pid"},
		"host of signs": {with(func(n *ticket.Name) { n.Host = "-_-" }), "-_-.4242." + nonce + "-abc-12345678-9abcdef0-x.pid"},
		"longest":       {longest, longest.Host + ".2147483647." + nonce + "-ffffffffffffffff-ffffffff-ffffffff-s4294967295.pid"},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := ticket.Prefix("db")
			require.Equal(t, "db.lock.", prefix)
			got := tt.name.Format(prefix)
			assert.Equal(t, prefix+tt.want, got)
			back, ok := ticket.Parse(prefix, got)
			require.True(t, ok)
			assert.Equal(t, tt.name, back)

			head, tail := tt.name.Frame(prefix)
			assert.Equal(t, got, head+nonce+tail)
			assert.NotContains(t, head+tail, nonce)
		})
	}
}

// TestNoTickets are names that are almost a ticket of the queue.
func TestNoTickets(t *testing.T) {
	const token = nonce + "-abc-12345678-9abcdef0-x"
	for _, name := range []string{
		"",
		"db",
		"db.lock.",
		"db.lock",
		"db.lock..pid",
		"db.lock.pid",
		"db.lock.host.1.pid",
		"db.lock.1." + token + ".pid",               // no host
		"db.lock..1." + token + ".pid",              // an empty one
		"db.lock.host.." + token + ".pid",           // an empty pid
		"db.lock.host.1..pid",                       // an empty token
		"db.lock.host." + token + ".pid",            // no pid
		"db.lock.host.x." + token + ".pid",          // pids that are none
		"db.lock.host.0." + token + ".pid",          //
		"db.lock.host.-1." + token + ".pid",         //
		"db.lock.host.+1." + token + ".pid",         //
		"db.lock.host.01." + token + ".pid",         //
		"db.lock.host.1_0." + token + ".pid",        //
		"db.lock.host.0x1." + token + ".pid",        //
		"db.lock.host.4294967297." + token + ".pid", //
		"db.lock.host.99999999999999999999." + token + ".pid", //
		"db.lock.host.01." + plainToken + ".pid",              //
		"db.lock.host.1." + token,                             // other ends
		"db.lock.host.1." + token + ".PID",                    //
		"db.lock.host.1." + token + ".pid ",                   //
		"db.lock.host.1." + token + ".pid.raised",             //
		"db.lock.host.1." + token + ".pidx",                   //
		"db.lock.ho.st.1." + token + ".pid",                   // ours have no dots
		"db2.lock.host.1." + token + ".pid",                   // other targets
		"xdb.lock.host.1." + token + ".pid",                   //
		"DB.lock.host.1." + token + ".pid",                    //
		"db.lok.host.1." + token + ".pid",                     //
		"db.lock.b.lock.host.1." + token + ".pid",             // of target db.lock.b
		"db.lock." + nonce + ".scratch",                       // our own other files
		ticket.Raised("db.lock.host.1."+token+".pid", queue.Number{Sec: 1}),
	} {
		n, ok := ticket.Parse("db.lock.", name)
		assert.False(t, ok, "%q was read as %+v", name, n)
	}
}

// TestPlain are names of others' tickets: known by pid and host alone, since
// their token is not of our form, be it by one byte.
func TestPlain(t *testing.T) {
	for name, tt := range map[string]struct{ host, token string }{
		"simple-file-lock":    {"web-1", plainToken},
		"dotted host":         {"web-1.example.com", plainToken},
		"dots only":           {"..", plainToken},
		"host of a long name": {strings.Repeat("h", 100), plainToken},
		"any token":           {"h", "t"},
		"four parts":          {"h", nonce + "-abc-12345678-9abcdef0"},
		"six parts":           {"h", nonce + "-abc-12345678-9abcdef0-x-x"},
		"short nonce":         {"h", nonce[1:] + "-abc-12345678-9abcdef0-x"},
		"long nonce":          {"h", nonce + "0-abc-12345678-9abcdef0-x"},
		"upper-case nonce":    {"h", strings.ToUpper(nonce) + "-abc-12345678-9abcdef0-x"},
		"start of zeros":      {"h", nonce + "-00-12345678-9abcdef0-x"},
		"start with a zero":   {"h", nonce + "-0abc-12345678-9abcdef0-x"},
		"empty start":         {"h", nonce + "--12345678-9abcdef0-x"},
		"start too long":      {"h", nonce + "-10000000000000000-12345678-9abcdef0-x"},
		"short pid space":     {"h", nonce + "-abc-1234567-9abcdef0-x"},
		"upper-case place":    {"h", nonce + "-abc-12345678-9ABCDEF0-x"},
		"long place":          {"h", nonce + "-abc-12345678-9abcdef00-x"},
		"no kind":             {"h", nonce + "-abc-12345678-9abcdef0-"},
		"another kind":        {"h", nonce + "-abc-12345678-9abcdef0-y"},
		"upper-case kind":     {"h", nonce + "-abc-12345678-9abcdef0-X"},
		"lease of zero":       {"h", nonce + "-abc-12345678-9abcdef0-x0"},
		"lease with a zero":   {"h", nonce + "-abc-12345678-9abcdef0-x01"},
		"signed lease":        {"h", nonce + "-abc-12345678-9abcdef0-x+1"},
		"lease of words":      {"h", nonce + "-abc-12345678-9abcdef0-xx"},
		"lease too long":      {"h", nonce + "-abc-12345678-9abcdef0-x4294967296"},
	} {
		t.Run(name, func(t *testing.T) {
			n, ok := ticket.Parse("db.lock.", "db.lock."+tt.host+".77."+tt.token+".pid")
			require.True(t, ok)
			assert.Equal(t, ticket.Name{Host: tt.host, PID: 77, Plain: true, Token: tt.token}, n)
		})
	}
}

// TestTargetInTarget: target a.lock.b's tickets begin as target a's do.
func TestTargetInTarget(t *testing.T) {
	outer, inner := ticket.Prefix("a"), ticket.Prefix("a.lock.b")
	ours := ticket.Name{Host: "h", PID: 1, Nonce: nonce}.Format(inner)
	_, ok := ticket.Parse(inner, ours)
	assert.True(t, ok)
	_, ok = ticket.Parse(outer, ours)
	assert.False(t, ok, "a would wait for a.lock.b's tickets")

	// A plain one cannot be told from one of a host named b.lock.h; queueing
	// behind it is the safe reading.
	n, ok := ticket.Parse(outer, inner+"h.1."+plainToken+".pid")
	assert.True(t, ok)
	assert.Equal(t, "b.lock.h", n.Host)
}

func TestHostname(t *testing.T) {
	for host, want := range map[string]string{
		"":                      "_",
		"web-1":                 "web-1",
		"Web_1":                 "Web_1",
		"web-1.example.com":     "web-1_example_com",
		".":                     "_",
		"a/b":                   "a_b",
		"a\x00b c\n":            "a_b_c_",
		"bücher":                "b__cher",
		"@[`{/:":                "______", // the neighbours of the ranges
		"azAZ09":                "azAZ09",
		strings.Repeat("x", 65): strings.Repeat("x", 64),
		strings.Repeat("é", 64): strings.Repeat("_", 64),
	} {
		assert.Equal(t, want, ticket.Hostname(host), "%q", host)
	}
}

func TestHashOf(t *testing.T) {
	assert.Equal(t, ticket.HashOf("boot", "pid", "1"), ticket.HashOf("boot", "pid", "1"))
	assert.NotEqual(t, ticket.HashOf("ab", "c"), ticket.HashOf("a", "bc"), "parts are kept apart")
	assert.NotEqual(t, ticket.HashOf("a"), ticket.HashOf("a", ""))
	assert.NotZero(t, ticket.HashOf())

	seen := map[ticket.Hash]int{}
	for i := range 10_000 {
		seen[ticket.HashOf("boot", "device", fmt.Sprint(i))]++
	}
	assert.Greater(t, len(seen), 9_990, "too many collisions")

	assert.True(t, ticket.Hash(1).Same(1))
	assert.False(t, ticket.Hash(1).Same(2))
	assert.False(t, ticket.Hash(0).Same(0), "unknown is not equal to unknown")
}

// TestHashIsFNV: other versions of this package, and other processes, compute the same.
func TestHashIsFNV(t *testing.T) {
	for _, parts := range [][]string{nil, {""}, {"pid"}, {"1a363b43", "pid", "4026531836"}, {"\x00", "", "\xff"}} {
		h := fnv.New64a()
		for _, part := range parts {
			h.Write([]byte(part + "\x00"))
		}
		require.Equal(t, ticket.Hash(h.Sum64()^h.Sum64()>>32), ticket.HashOf(parts...), "%q", parts)
	}
}

func TestNewNonce(t *testing.T) {
	a, b := ticket.NewNonce(), ticket.NewNonce()
	assert.Regexp(t, "^[0-9a-f]{32}$", a)
	assert.NotEqual(t, a, b)
}

// bases returns base names of n bytes whose characters begin at all offsets.
func bases(n int) (all []string) {
	for _, r := range []string{"x", "é", "漢", "😀"} {
		for shift := range len(r) {
			if shift > n {
				break
			}
			base := strings.Repeat("-", shift) + strings.Repeat(r, (n-shift)/len(r))
			all = append(all, base+strings.Repeat("+", n-len(base)))
		}
	}
	return append(all, strings.Repeat("\xbf", n)) // no UTF-8 at all
}

// TestLengths: whatever the target is called, its longest names are ones that
// every filesystem takes, and are text if the target's is.
func TestLengths(t *testing.T) {
	prefixes := map[string]string{}
	for n := 1; n <= 255; n++ {
		for _, base := range bases(n) {
			for _, p := range []struct{ id, prefix string }{
				{"beside " + base, ticket.Prefix(base)},
				{"in " + base, ticket.PrefixIn(base, "/srv/"+base)},
			} {
				name := longest.Format(p.prefix)
				raised := ticket.Raised(name, queue.Number{Sec: -1, Nsec: 999_999_999})
				require.LessOrEqual(t, len(name), 255, "%q", name)
				require.LessOrEqual(t, len(raised), 255, "%q", raised)
				require.Equal(t, utf8.ValidString(base), utf8.ValidString(raised), "%q", raised)
				back, ok := ticket.Parse(p.prefix, name)
				require.True(t, ok)
				require.Equal(t, longest, back)
				other, taken := prefixes[p.prefix]
				require.False(t, taken && other != p.id, "%q and %q share a queue", other, p.id)
				prefixes[p.prefix] = p.id
			}
		}
	}
}

func TestPrefix(t *testing.T) {
	t.Run("as it is while it fits", func(t *testing.T) {
		// 62 bytes leave room for the longest raised entry in 255.
		fits := strings.Repeat("x", 62)
		assert.Equal(t, fits+".lock.", ticket.Prefix(fits))
		assert.Regexp(t, "^x{45}~[0-9a-f]{16}[.]lock[.]$", ticket.Prefix(fits+"x"))
	})
	t.Run("the end counts", func(t *testing.T) {
		long := strings.Repeat("x", 200)
		assert.Equal(t, ticket.Prefix(long+"1"), ticket.Prefix(long+"1"))
		assert.NotEqual(t, ticket.Prefix(long+"1"), ticket.Prefix(long+"2"))
		assert.NotEqual(t, ticket.Prefix(long), ticket.Prefix(long+"x"))
	})
	t.Run("characters stay whole", func(t *testing.T) {
		assert.Regexp(t, "^é{22}~", ticket.Prefix(strings.Repeat("é", 100)))
		assert.Regexp(t, "^漢{15}~", ticket.Prefix(strings.Repeat("漢", 80)))
		assert.Regexp(t, "^😀{11}~", ticket.Prefix(strings.Repeat("😀", 60)))
	})
	t.Run("in a shared directory", func(t *testing.T) {
		assert.Regexp(t, "^db~[0-9a-f]{16}[.]lock[.]$", ticket.PrefixIn("db", "/a/db"))
		assert.Equal(t, ticket.PrefixIn("db", "/a/db"), ticket.PrefixIn("db", "/a/db"))
		assert.NotEqual(t, ticket.PrefixIn("db", "/a/db"), ticket.PrefixIn("db", "/b/db"))
	})
	t.Run("never changes", func(t *testing.T) {
		// Programs of all versions must agree.
		assert.Equal(t, strings.Repeat("x", 45)+"~09ecb6ebc8bcefc7.lock.", ticket.Prefix(strings.Repeat("x", 100)))
		assert.Equal(t, "db~109c2225aec2fb17.lock.", ticket.PrefixIn("db", "/srv/db"))
		assert.Equal(t, ticket.Hash(0x5afaafd7), ticket.HashOf("boot", "pid", "4026531836"))
	})
}

func TestRaised(t *testing.T) {
	const name = "db.lock.h.1." + nonce + "-abc-12345678-9abcdef0-x.pid"
	const stem = "db.lock.h.1." + nonce + "-abc-12345678-9abcdef0-x."
	for _, tt := range []struct {
		number queue.Number
		digits string
	}{
		{queue.Number{}, "000000000000000000000000"},
		{queue.Number{Sec: 1, Nsec: 2}, "000000000000000100000002"},
		{queue.Number{Sec: -1, Nsec: 999_999_999}, "ffffffffffffffff3b9ac9ff"},
		{queue.Number{Sec: math.MaxInt64}, "7fffffffffffffff00000000"},
		{queue.Number{Sec: math.MinInt64}, "800000000000000000000000"},
	} {
		entry := ticket.Raised(name, tt.number)
		assert.Equal(t, stem+tt.digits+".raised", entry)
		of, n, ok := ticket.ParseRaised(entry)
		assert.True(t, ok)
		assert.Equal(t, name, of)
		assert.Equal(t, tt.number, n)
	}
	for _, bad := range []string{
		"",
		".raised",
		"raised",
		stem + "raised",
		stem + ".raised",
		stem + "00000000000000010000000.raised", // a digit short
		stem + "0000000000000001000000020.raised", // a digit long
		stem + "00000000000000010000000g.raised",
		stem + "00000000000000010000000A.raised",
		stem + "0000000000000001-0000002.raised",
		stem + "00000000000000013b9aca00.raised", // 10⁹ ns
		stem + "0000000000000001ffffffff.raised",
		stem + "000000000000000100000002.raise",
		stem + "000000000000000100000002.raised.pid",
		"000000000000000100000002.raised", // of nothing
	} {
		_, _, ok := ticket.ParseRaised(bad)
		assert.False(t, ok, "%q", bad)
	}
}

func TestMerge(t *testing.T) {
	const a, b = "q.lock.h.1.a.pid", "q.lock.h.1.b.pid"
	at := func(sec int64) queue.Number { return queue.Number{Sec: sec} }
	for name, tt := range map[string]struct {
		tickets []queue.Ticket
		raised  []string
		want    []queue.Number
		orphans []string
	}{
		"nothing": {},
		"no entries": {
			tickets: []queue.Ticket{{Name: a, Number: at(5)}},
			want:    []queue.Number{at(5)},
		},
		"higher entry": {
			tickets: []queue.Ticket{{Name: a, Number: at(5)}, {Name: b, Number: at(6)}},
			raised:  []string{ticket.Raised(a, at(9))},
			want:    []queue.Number{at(9), at(6)},
		},
		"higher by a nanosecond": {
			tickets: []queue.Ticket{{Name: a, Number: at(5)}},
			raised:  []string{ticket.Raised(a, queue.Number{Sec: 5, Nsec: 1})},
			want:    []queue.Number{{Sec: 5, Nsec: 1}},
		},
		"lower entry": { // an older raise, or another filesystem's rounding
			tickets: []queue.Ticket{{Name: a, Number: at(5)}},
			raised:  []string{ticket.Raised(a, at(4))},
			want:    []queue.Number{at(5)},
		},
		"several entries": {
			tickets: []queue.Ticket{{Name: a, Number: at(5)}},
			raised:  []string{ticket.Raised(a, at(7)), ticket.Raised(a, at(9)), ticket.Raised(a, at(8))},
			want:    []queue.Number{at(9)},
		},
		"orphans": {
			tickets: []queue.Ticket{{Name: a, Number: at(5)}},
			raised:  []string{ticket.Raised(b, at(9)), ticket.Raised(a, at(6)), ticket.Raised(b, at(8))},
			want:    []queue.Number{at(6)},
			orphans: []string{ticket.Raised(b, at(9)), ticket.Raised(b, at(8))},
		},
		"no entry at all": { // it is left alone
			tickets: []queue.Ticket{{Name: a, Number: at(5)}},
			raised:  []string{"q.lock.raised", a},
			want:    []queue.Number{at(5)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			orphans := ticket.Merge(tt.tickets, tt.raised)
			assert.Equal(t, tt.orphans, orphans)
			for i, want := range tt.want {
				assert.Equal(t, want, tt.tickets[i].Number)
			}
		})
	}
}

// TestMergeIf: an entry that does not count is no orphan either. Who answers is
// asked only where the answer makes a difference.
func TestMergeIf(t *testing.T) {
	const a, b = "q.lock.h.1.a.pid", "q.lock.h.1.b.pid"
	at := func(sec int64) queue.Number { return queue.Number{Sec: sec} }
	tickets := []queue.Ticket{{Name: a, Number: at(5)}}
	raised := []string{ticket.Raised(a, at(9)), ticket.Raised(a, at(4)), ticket.Raised(a, at(7)), ticket.Raised(b, at(8))}
	var asked []string
	orphans := ticket.MergeIf(tickets, raised, func(entry, of string) bool {
		assert.Equal(t, a, of)
		asked = append(asked, entry)
		return entry != raised[0]
	})
	assert.Equal(t, at(7), tickets[0].Number)
	assert.Equal(t, []string{raised[0], raised[2]}, asked)
	assert.Equal(t, raised[3:], orphans)
}

// TestMergeMany: anybody may make any number of entries.
func TestMergeMany(t *testing.T) {
	const n = 20000
	tickets, raised := make([]queue.Ticket, n), make([]string, n)
	for i := range n {
		tickets[i].Name = fmt.Sprintf("q.lock.h.1.%d.pid", i)
		raised[i] = ticket.Raised(tickets[i].Name, queue.Number{Sec: 1})
	}
	began := time.Now()
	assert.Empty(t, ticket.Merge(tickets, raised))
	assert.Less(t, time.Since(began), time.Second/2)
	assert.Equal(t, int64(1), tickets[n-1].Number.Sec)
}

// FuzzParse: Parse takes only what Format writes, so that a name has one
// meaning; and what it takes for a plain ticket can be put together again.
func FuzzParse(f *testing.F) {
	f.Add("db", longest.Format("db.lock."))
	f.Add("db", ticket.Name{Host: "h", PID: 1, Nonce: nonce}.Format("db.lock."))
	f.Add("db", "db.lock.web-1.example.com.77."+plainToken+".pid")
	f.Add("db", "db.lock.h.01."+nonce+"-abc-12345678-9abcdef0-x.pid")
	f.Add("a", "a.lock.b.lock.h.1."+nonce+"-abc-12345678-9abcdef0-x.pid")
	f.Add("", ".lock.h.1.t.pid")
	f.Fuzz(func(t *testing.T, base, name string) {
		prefix := ticket.Prefix(base)
		n, ok := ticket.Parse(prefix, name)
		if !ok {
			return
		}
		again := n.Format(prefix)
		if n.Plain {
			again = fmt.Sprintf("%s%s.%d.%s.pid", prefix, n.Host, n.PID, n.Token)
		}
		require.Equal(t, name, again)
		back, ok := ticket.Parse(prefix, again)
		require.True(t, ok)
		require.Equal(t, n, back)

		of, number, ok := ticket.ParseRaised(ticket.Raised(name, queue.Number{Sec: -2, Nsec: 3}))
		require.True(t, ok)
		require.Equal(t, name, of)
		require.Equal(t, queue.Number{Sec: -2, Nsec: 3}, number)
	})
}

// FuzzRaised: an entry's name has one meaning too.
func FuzzRaised(f *testing.F) {
	f.Add(ticket.Raised("db.lock.h.1.t.pid", queue.Number{Sec: 1, Nsec: 2}))
	f.Add(ticket.Raised(longest.Format("db.lock."), queue.Number{Sec: -1, Nsec: 999_999_999}))
	f.Add(".000000000000000100000002.raised")
	f.Add("t.0000000000000001ffffffff.raised")
	f.Fuzz(func(t *testing.T, name string) {
		of, n, ok := ticket.ParseRaised(name)
		if !ok {
			return
		}
		require.Equal(t, name, ticket.Raised(of, n))
		require.True(t, n.Nsec >= 0 && n.Nsec < 1e9)
	})
}

// FuzzPrefix: any two names get their own queues, none too long.
func FuzzPrefix(f *testing.F) {
	f.Add(strings.Repeat("x", 255), strings.Repeat("x", 254))
	f.Add(strings.Repeat("é", 40), strings.Repeat("é", 41))
	f.Fuzz(func(t *testing.T, a, b string) {
		pa, pb := ticket.Prefix(a), ticket.Prefix(b)
		require.Equal(t, a == b, pa == pb)
		require.LessOrEqual(t, len(ticket.Raised(longest.Format(pa), queue.Number{Sec: -1})), 255)
		if utf8.ValidString(a) {
			require.True(t, utf8.ValidString(pa))
		}
	})
}
