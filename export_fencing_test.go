package filelock

import "github.com/filelock-go/filelock/internal/fence"

// TokenSteps are the steps of taking a fencing token.
var TokenSteps = fence.Steps

// AtTokenSteps has f called at each of them. It returns what undoes it.
func AtTokenSteps(f func(step string)) (undo func()) {
	was := fence.At
	fence.At = f
	return func() { fence.At = was }
}
