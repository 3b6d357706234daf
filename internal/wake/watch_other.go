//go:build !linux

package wake

// watch does not exist here: waiting is by polling alone.
type watch struct{}

func newWatch(string) (w *watch, unable bool) { return nil, true }

func (w *watch) changed() <-chan struct{} { return nil }

func (w *watch) stop() {}
