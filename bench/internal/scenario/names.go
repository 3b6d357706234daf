package scenario

import (
	"fmt"

	"github.com/filelock-go/filelock/bench/internal/rival"
)

var shorts = map[string]string{
	"filelock":          "filelock",
	"filelock-nobatch":  "WithBatch(0)",
	"filelock-nolinger": "WithLinger(0)",
	"filelock-queuedir": "WithQueueDir",
	"gofrs":             "gofrs",
	"mutex-gofrs":       "Mutex+gofrs",
	"gofrs-try1":        "Try 1 ms",
	"gofrs-try10":       "Try 10 ms",
	"gofrs-try100":      "Try 100 ms",
	"lockedfile":        "lockedfile",
	"filemutex":         "go-filemutex",
	"juju":              "juju/mutex",
	"nightlyone":        "nightlyone",
	"plain":             "plain rule",
	"floor-file":        "floor: calls",
	"floor-rest":        "floor: resting",
	"floor-queue":       "floor: queue",
	"floor-flock":       "floor: flock",
	"floor-channels":    "floor: channels",
	"floor-getdents":    "floor: getdents",
	"floor-idle":        "floor: idle",
	"ring":              "floor: ring",
	"ring-poller":       "ring, Go poller",
}

// several says how many of something there are.
func several(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// short is the head of a rival's column.
func short(r rival.Rival) string { return shorts[r.Key] }
