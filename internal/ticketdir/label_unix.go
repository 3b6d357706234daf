//go:build unix

package ticketdir

// setLabel writes the label to the ticket just made, or whose mode has just been put
// right: the write needs the permission of the file, not of its descriptor. Where
// there are no extended attributes the ticket has no label, which is no error.
//
// It changes the ticket's change time, and tells those who watch it. Nobody waits for
// the ticket yet, and its number and the directory's times (R14) stay as they are. Where
// other kernels take part nothing may touch the ticket's times between its creation
// and the first listing (R10), and each call is a message that may not be answered:
// there is no label there.
func (o *Own) setLabel() {
	if o.q.Label != "" && o.h.oneKernel() {
		_ = storeLabel(o.fd, o.q.Label)
	}
}

// Label returns what the ticket's owner says of itself, or "". It is the owner's
// text, and may have anything in it.
func (o *Other) Label() string {
	if !o.h.oneKernel() {
		return ""
	}
	return loadLabel(o.fd)
}
