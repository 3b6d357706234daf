//go:build race

package fence

const slow = true
