package ticket

import "strings"

// Split reads the name of one of our own tickets, whatever queue it is of, and
// returns the queue's prefix too. It reports false for any other name, plain
// tickets among them: their host may have dots, so that nothing tells where the
// prefix ends.
func Split(name string) (prefix string, n Name, ok bool) {
	rest, ok := strings.CutSuffix(name, suffix)
	for range 3 { // token, pid, host
		if ok {
			rest, _, ok = cutLast(rest)
		}
	}
	if prefix = rest + "."; !ok || !strings.HasSuffix(prefix, infix) {
		return "", Name{}, false
	}
	n, ok = Parse(prefix, name)
	return prefix, n, ok && !n.Plain
}
