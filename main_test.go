package filelock_test

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

var (
	soak       = flag.Duration("soak", 0, "how long the soak test of each kind runs")
	mounts     = flag.String("mounts", "", "mounts of one directory, separated by commas, for TestAcrossMounts")
	mountHolds = flag.Int("mount-holds", 200, "how many holds TestAcrossMounts makes")
)

func TestMain(m *testing.M) {
	// What rests would be left by a child's end, and is not what most tests are about.
	locktest.AtEnd = filelock.GiveUpRests
	locktest.RunChild()
	flag.Parse()
	if err := locktest.SideBySide(); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	code := m.Run()
	if code == 0 {
		if err := locktest.Goroutines(); err != nil {
			os.Stderr.WriteString("goroutines were left: " + err.Error() + "\n")
			return 1
		}
	}
	return code
}

const (
	// mustBlock is long enough to say "it blocks".
	mustBlock = 10 * time.Millisecond
	stuck     = locktest.Stuck
)
