//go:build unix && !linux

package ticketdir

// Extended attributes differ from system to system, and where they are on a
// filesystem of one kernel is known on Linux only.

func storeLabel(int, string) error { return nil }

func loadLabel(int) string { return "" }
