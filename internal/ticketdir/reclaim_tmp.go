//go:build unix

package ticketdir

// Reclaim removes another's ticket, see Other.Remove.
func (v *View) Reclaim(o *Other) error { return o.Remove(v) }
