package report

import (
	"encoding/json"
	"io"
)

// JSON writes everything but the plots.
func (r *Run) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}
