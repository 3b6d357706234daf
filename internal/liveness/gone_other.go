//go:build !unix

package liveness

// confirmGone has nothing more to ask.
func confirmGone(int) Process { return ProcessGone }
