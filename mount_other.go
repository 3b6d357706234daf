//go:build !linux

package filelock

// isMountPoint knows of no other system that mounts single files.
func isMountPoint(string) bool { return false }
