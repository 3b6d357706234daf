package report

import (
	"math"
	"strconv"
)

// Format prints a value for readers.
func Format(x float64, u Unit) string {
	if math.IsNaN(x) {
		return "–"
	}
	switch u {
	case Nanoseconds:
		return scaled(x, 1000, "ns", "µs", "ms", "s")
	case PerSecond:
		return scaled(x, 1000, "/s", "k/s", "M/s")
	case Bytes:
		return scaled(x, 1024, "B", "KiB", "MiB", "GiB")
	case Part:
		return strconv.FormatFloat(100*x, 'f', decimals(100*x), 64) + " %"
	case Index:
		return strconv.FormatFloat(x, 'f', 3, 64)
	default:
		return digits(x)
	}
}

func scaled(x, step float64, units ...string) string {
	i := 0
	for math.Abs(x) >= 0.9995*step && i+1 < len(units) {
		x /= step
		i++
	}
	return digits(x) + " " + units[i]
}

// digits prints three digits that count.
func digits(x float64) string {
	if 0 < x && x < 0.0995 {
		return strconv.FormatFloat(x, 'g', 2, 64)
	}
	return strconv.FormatFloat(x, 'f', decimals(x), 64)
}

func decimals(x float64) int {
	switch x = math.Abs(x); {
	case x == math.Trunc(x) || x >= 99.95:
		return 0
	case x >= 9.995:
		return 1
	default:
		return 2
	}
}

// times prints a ratio.
func times(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return digits(x) + " ×"
}
