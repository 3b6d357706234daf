//go:build race

package sim

// raceDetector makes everything ten times slower.
const raceDetector = true
