package filelock

import (
	"fmt"

	"github.com/filelock-go/filelock/internal/ticketdir"
)

// MaxLabel is how many bytes a label has at most.
const MaxLabel = ticketdir.MaxLabel

// WithLabel has the owner's tickets say what it is, in its own words and in at most
// MaxLabel bytes: "nightly backup", say. Others find it in Ticket.Label, and in the text
// of their errors. The default, and "", is none.
//
// It is an extended attribute of the ticket, user.filelock.label, on local filesystems
// of Linux that have those (memory filesystems do from Linux 6.6 on). Elsewhere a ticket
// has no label, which is no error.
//
// Locks of one path in one process that differ in their labels wait for each other as
// two processes do.
func WithLabel(label string) Option {
	return optionFunc(func(c *config) error {
		if len(label) > MaxLabel {
			return fmt.Errorf("%w: the label has %d bytes, more than %d", ErrInvalid, len(label), MaxLabel)
		}
		c.label = label
		return nil
	})
}
