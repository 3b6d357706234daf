//go:build unix && !linux

package ticketdir

// isOneKernel knows no filesystem of these systems: rule R10's extra care
// costs little and is right everywhere.
func isOneKernel(int) bool { return false }
