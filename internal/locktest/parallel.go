package locktest

import (
	"flag"
	"runtime"
	"strconv"
)

// sideBySide is how many parallel tests run at once.
const sideBySide = 8

// SideBySide has parallel tests run more at once than there are processors: nearly all
// that they do is wait. What -parallel says stands. Call it in TestMain, after
// flag.Parse.
func SideBySide() error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	// Where there is one processor only, what they do besides is felt.
	n := min(sideBySide, 4*runtime.GOMAXPROCS(0))
	if given || n <= runtime.GOMAXPROCS(0) {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(n))
}
