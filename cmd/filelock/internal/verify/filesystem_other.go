//go:build !linux

package verify

import "github.com/shirou/gopsutil/v3/disk"

// filesystem names the type of the filesystem that a directory is on.
func filesystem(dir string) string {
	usage, err := disk.Usage(dir)
	if err != nil || usage.Fstype == "" {
		return "unknown"
	}
	return usage.Fstype
}
