package liveness

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/ticket"
)

const (
	testBoot    = "5e0f6f0a-0000-4000-8000-000000000001"
	anotherBoot = "5e0f6f0a-0000-4000-8000-000000000002"
)

// here is who judges in these tests: a process of a machine's own pid
// namespace, in a directory on device 7.
var here = Identity{
	RawHost: "web.example.org", Host: "web_example_org", PID: 100, Start: 5000, BootID: testBoot,
	PIDSpace: pidSpace(testBoot, initialPIDNamespace), InitialPIDs: true,
}

// ours returns a ticket of another process of the same pid namespace.
func ours() ticket.Name {
	return ticket.Name{
		Host: here.Host, PID: 200, Start: 6000, PIDSpace: here.PIDSpace, Place: here.Place(7, true),
	}
}

// ofContainer returns a ticket of another pid namespace of the same boot.
func ofContainer() ticket.Name {
	n := ours()
	n.PID, n.PIDSpace = 1, pidSpace(testBoot, initialPIDNamespace+1234)
	return n
}

// ofBoot returns a ticket of another boot: the same host before, or a clone.
func ofBoot() ticket.Name {
	id := Identity{BootID: anotherBoot}
	n := ours()
	n.PIDSpace, n.Place = pidSpace(anotherBoot, initialPIDNamespace), id.Place(7, true)
	return n
}

func plain(host string) ticket.Name {
	return ticket.Name{Host: host, PID: 200, Plain: true, Token: "tok"}
}

func with(n ticket.Name, edit func(*ticket.Name)) ticket.Name {
	edit(&n)
	return n
}

const (
	never  = Process(-1) // the process table must not be asked
	none   = WitnessNone
	free   = WitnessFree
	held   = WitnessHeld
	second = time.Second
)

// TestMatrix has every row of the matrix of evidence, and around each the cases
// that differ from it in one thing.
func TestMatrix(t *testing.T) {
	leased := func(n *ticket.Name) { n.Lease = 2 * second }
	container := func(id *Identity) { id.InitialPIDs, id.PIDSpace = false, pidSpace(testBoot, initialPIDNamespace+77) }
	tests := []struct {
		name    string
		n       ticket.Name
		witness Witness
		process Process
		e       Evidence // but for the name, the witness and the place
		self    func(*Identity)
		want    State
		reason  string
	}{
		// witness held
		{"held, same pidspace", ours(), held, never, Evidence{}, nil, Alive, "witness held"},
		{"held, other pidspace", ofContainer(), held, never, Evidence{}, nil, Alive, "witness held"},
		{"held, other boot", ofBoot(), held, never, Evidence{OneKernel: true}, nil, Alive, "witness held"},
		{"held, plain", plain(here.RawHost), held, never, Evidence{}, nil, Alive, "witness held"},

		// witness free, same pidspace
		{"free, runs", ours(), free, ProcessRuns, Evidence{FreeFor: time.Hour}, nil, Alive, "pid 200 runs; its witness is not held"},
		{"free, gone", ours(), free, ProcessGone, Evidence{}, nil, Dead, "pid 200 is gone"},
		{"free, zombie", ours(), free, ProcessZombie, Evidence{}, nil, Dead, "pid 200 has ended and is not reaped yet"},
		{"free, other start", ours(), free, ProcessOther, Evidence{}, nil, Dead, "pid 200 is another process by now"},
		{"free, nothing known", ours(), free, ProcessUnknown, Evidence{FreeFor: time.Hour}, nil, Unknown, "nothing can be learnt of pid 200"},

		{"free, hidden, too soon", ours(), free, ProcessHidden, Evidence{FreeFor: Grace - 1}, nil, Unknown, "its witness is not held; it may be about to take it"},
		{"free, hidden, twice", ours(), free, ProcessHidden, Evidence{FreeFor: Grace}, nil, Dead, "its witness on this machine is gone"},
		{"free elsewhere, hidden", with(ours(), func(n *ticket.Name) { n.Place = 0 }), free, ProcessHidden, Evidence{FreeFor: time.Hour}, nil, Alive, "a process has pid 200; it is hidden from here"},
		{"none, hidden", ours(), none, ProcessHidden, Evidence{FreeFor: time.Hour, OneKernel: true}, nil, Alive, "a process has pid 200; it is hidden from here"},
		{"plain, hidden", plain(here.RawHost), none, ProcessHidden, Evidence{}, nil, Alive, "a plain ticket, and a process has pid 200"},

		// witness free, other pidspace, same place
		{"free, other pidspace, first look", ofContainer(), free, never, Evidence{OneKernel: true}, nil, Unknown, "its witness is not held; it may be about to take it"},
		{"free, other pidspace, too soon", ofContainer(), free, never, Evidence{FreeFor: Grace - 1}, nil, Unknown, "its witness is not held; it may be about to take it"},
		{"free, other pidspace, twice", ofContainer(), free, never, Evidence{FreeFor: Grace}, nil, Dead, "its witness on this machine is gone"},
		{"free, no pidspace, twice", with(ours(), func(n *ticket.Name) { n.PIDSpace = 0 }), free, never, Evidence{FreeFor: Grace}, nil, Dead, "its witness on this machine is gone"},

		// witness free, but elsewhere: as good as none
		{"free, other place", with(ofContainer(), func(n *ticket.Name) { n.Place = here.Place(8, true) }), free, never, Evidence{FreeFor: time.Hour, OneKernel: true}, nil, Unknown, "it is of another pid namespace, and its witness cannot be seen from here"},
		{"free, no place", with(ofContainer(), func(n *ticket.Name) { n.Place = 0 }), free, never, Evidence{FreeFor: time.Hour, OneKernel: true}, nil, Unknown, "it is of another host or another boot, and the filesystem may be mounted by both"},
		{"free, other host", ofBoot(), free, never, Evidence{FreeFor: time.Hour}, nil, Unknown, "it is of another host or another boot, and the filesystem may be mounted by both"},

		// no witness, same pidspace
		{"none, runs", ours(), none, ProcessRuns, Evidence{}, nil, Alive, "pid 200 runs"},
		{"none, gone", ours(), none, ProcessGone, Evidence{}, nil, Dead, "pid 200 is gone"},
		{"none, zombie", ours(), none, ProcessZombie, Evidence{}, nil, Dead, "pid 200 has ended and is not reaped yet"},
		{"none, other start", ours(), none, ProcessOther, Evidence{}, nil, Dead, "pid 200 is another process by now"},

		// no witness, other pidspace
		{"none, earlier boot, one kernel", ofBoot(), none, never, Evidence{OneKernel: true}, nil, Dead, "it is of an earlier boot of this machine"},
		{"none, earlier boot or client, its owner saw a shared filesystem", with(ofBoot(), func(n *ticket.Name) { n.Place &^= oneKernelBit }), none, never, Evidence{OneKernel: true}, nil, Unknown, "it is of another host or another boot, and the filesystem may be mounted by both"},
		{"free, earlier boot, one kernel", ofBoot(), free, never, Evidence{OneKernel: true}, nil, Dead, "it is of an earlier boot of this machine"},
		{"none, earlier boot or clone, many kernels", ofBoot(), none, never, Evidence{}, nil, Unknown, "it is of another host or another boot, and the filesystem may be mounted by both"},
		{"none, this boot", ofContainer(), none, never, Evidence{OneKernel: true, FreeFor: time.Hour}, nil, Unknown, "it is of another pid namespace, and its witness cannot be seen from here"},
		{"none, no pidspace", with(ofBoot(), func(n *ticket.Name) { n.PIDSpace = 0 }), none, never, Evidence{OneKernel: true}, nil, Unknown, "it does not tell which boot it is of"},
		{"none, no boot id here", ofBoot(), none, never, Evidence{OneKernel: true}, func(id *Identity) { id.BootID, id.PIDSpace = "", 0 }, Unknown, "it does not tell which boot it is of"},

		// leases
		{"lease in time", with(ofBoot(), leased), none, never, Evidence{StillFor: Expiry(2 * second)}, nil, Unknown, "it is of another host or another boot, and the filesystem may be mounted by both"},
		{"lease ran out", with(ofBoot(), leased), none, never, Evidence{StillFor: Expiry(2*second) + 1}, nil, Dead, "its lease of 2s was not renewed for 3.5s"},
		{"lease ran out, witness held", with(ours(), leased), held, never, Evidence{StillFor: 4 * second}, nil, Dead, "its lease of 2s was not renewed for 4s"},
		{"lease in time, witness held", with(ours(), leased), held, never, Evidence{StillFor: second}, nil, Alive, "witness held"},
		{"lease in time, gone", with(ours(), leased), free, ProcessGone, Evidence{}, nil, Dead, "pid 200 is gone"},
		{"still for long, no lease", ofBoot(), none, never, Evidence{StillFor: time.Hour}, nil, Unknown, "it is of another host or another boot, and the filesystem may be mounted by both"},

		// plain tickets
		{"plain, gone", plain(here.RawHost), none, ProcessGone, Evidence{}, nil, Dead, "a plain ticket, and pid 200 of this host is gone"},
		{"plain, our spelling, gone", plain(here.Host), free, ProcessGone, Evidence{}, nil, Dead, "a plain ticket, and pid 200 of this host is gone"},
		{"plain, runs", plain(here.RawHost), free, ProcessRuns, Evidence{FreeFor: time.Hour}, nil, Alive, "a plain ticket, and a process has pid 200"},
		{"plain, zombie", plain(here.RawHost), free, ProcessZombie, Evidence{}, nil, Alive, "a plain ticket, and a process has pid 200"},
		{"plain, other host", plain("elsewhere"), free, never, Evidence{FreeFor: time.Hour, OneKernel: true}, nil, Unknown, "a plain ticket of another host, elsewhere"},
		{"plain, seen from a container", plain(here.RawHost), free, never, Evidence{FreeFor: time.Hour}, container, Unknown, "a plain ticket, and this process sees only a container's pids"},
		{"plain, nothing known", plain(here.RawHost), none, ProcessUnknown, Evidence{}, nil, Unknown, "a plain ticket, and nothing can be learnt of pid 200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := here
			if tt.self != nil {
				tt.self(&id)
			}
			e := tt.e
			e.Name, e.Witness, e.Place = tt.n, tt.witness, here.Place(7, true)
			asked := 0
			got := id.judge(e, func(pid int, start uint64) Process {
				asked++
				require.NotEqual(t, never, tt.process, "the process table tells nothing here")
				require.Equal(t, tt.n.PID, pid)
				require.Equal(t, tt.n.Start, start, "the start is compared wherever the ticket has one")
				return tt.process
			})
			t.Log(got)
			require.Equal(t, tt.want, got.State)
			require.Equal(t, tt.reason, got.Reason)
			if tt.process != never {
				require.Equal(t, 1, asked)
			}
		})
	}
}

// TestStartsAreNotComparedBlindly: one who cannot tell his own start in ticks
// since boot, for he is in a time namespace, cannot compare others' either.
func TestStartsAreNotComparedBlindly(t *testing.T) {
	id := here
	id.Start = 0
	v := id.judge(Evidence{Name: ours()}, func(_ int, start uint64) Process {
		require.Zero(t, start)
		return ProcessRuns
	})
	require.Equal(t, Alive, v.State)
}

// TestBootOf: which of the boots that may have made a ticket did, for every
// namespace that a machine may come to.
func TestBootOf(t *testing.T) {
	for _, namespace := range []uint64{initialPIDNamespace, initialPIDNamespace + 4, 4026532177, initialPIDNamespace + pidNamespaces - 1} {
		n := ours()
		n.PIDSpace = pidSpace(testBoot, namespace)
		require.Equal(t, thisBoot, here.bootOf(n), "namespace %d", namespace)
	}
	began := time.Now()
	const others, allowed = 10_000, 20
	wrong := 0
	for i := range others {
		n := ours()
		n.PIDSpace = pidSpace(anotherBoot, initialPIDNamespace+uint64(i))
		if here.bootOf(n) != earlierBoot {
			wrong++
		}
	}
	took := time.Since(began)
	t.Logf("%d tickets of another boot took %v to tell apart, %d were not", others, took.Round(time.Millisecond), wrong)
	require.LessOrEqual(t, wrong, allowed, "a collision, of which there is one in 4,096, only blocks")
	require.Less(t, took, 5*time.Second, "planted tickets keep everybody busy")
}

// TestFindSpaces: the short way to all hashes leads to the same ones.
func TestFindSpaces(t *testing.T) {
	spaces := pidSpaces(testBoot)
	for i := uint64(0); i < pidNamespaces; i += 4099 {
		_, found := slices.BinarySearch(spaces, pidSpace(testBoot, initialPIDNamespace+i))
		require.True(t, found)
	}
}

func TestPlaces(t *testing.T) {
	require.True(t, here.Place(7, true).Same(here.Place(7, true)))
	require.False(t, here.Place(7, true).Same(here.Place(8, true)))
	require.False(t, here.Place(7, true).Same(Identity{BootID: anotherBoot}.Place(7, true)), "devices have the same numbers on all machines")
	for device := range uint64(64) {
		require.NotZero(t, here.Place(device, true)&oneKernelBit, "what the owner saw of the filesystem")
		shared := here.Place(device, false)
		require.Zero(t, shared&oneKernelBit)
		require.NotZero(t, shared)
	}
	nowhere := Identity{}
	require.False(t, nowhere.Place(7, true).Same(nowhere.Place(7, true)), "without a boot id, no place is known")
}
