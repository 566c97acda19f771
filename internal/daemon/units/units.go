package units

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrSize = errors.New("not a size")
	ErrRate = errors.New("not a rate")
)

// Size is a number of bytes.
type Size int64

// ParseSize reads a size such as "4096", "25MB" or "1.5 GiB"; a plain number
// is bytes. Otherwise it is ErrSize, naming the input.
func ParseSize(s string) (Size, error) {
	n, err := parseBytes(s)
	if err != nil {
		return 0, fmt.Errorf("%w: %.80q: write it like 4096, 25MB or 1MiB", ErrSize, s)
	}
	return Size(n), nil
}

// UnmarshalText implements encoding.TextUnmarshaler; see ParseSize.
func (s *Size) UnmarshalText(text []byte) error {
	v, err := ParseSize(string(text))
	if err == nil {
		*s = v
	}
	return err
}

// String is the size for people, to three digits, in binary units as everywhere:
// "1 MiB", "23.8 MiB".
func (s Size) String() string { return trim(Bytes(int64(s))) }

// Bytes is a number of bytes for people, always with three digits: "1.00 MiB".
// It is for figures that stand below each other or change while one looks.
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-max(n, -math.MaxInt64))
	}
	return humanize.IBytesN(uint64(n), 3)
}

// Rate is a number of bytes per second. 0 means no limit.
type Rate int64

// Unlimited is the Rate that is none.
const Unlimited Rate = 0

// ParseRate reads a rate in bits, such as "100Mbit" or "1Gbit/s", or in bytes,
// such as "25MB", "12.5MB/s" or "1000000"; "0" and "unlimited" are Unlimited.
// A unit of which one cannot tell whether it is bits or bytes, as in "100M" or
// "100Mb", is refused. Otherwise it is ErrRate, naming the input.
func ParseRate(s string) (Rate, error) {
	n, err := parseRate(s)
	if err != nil {
		return 0, fmt.Errorf("%w: %.80q: write it like 100Mbit, 12.5MB/s or unlimited", ErrRate, s)
	}
	return Rate(n), nil
}

func parseRate(s string) (int64, error) {
	s = strings.TrimSpace(s)
	if strings.EqualFold(s, "unlimited") {
		return 0, nil
	}
	s = strings.TrimSuffix(s, "/s")
	if number, ok := cutBit(s); ok {
		bits, err := parseBytes(number + "B")
		if err == nil && 0 < bits && bits < 8 {
			return 1, nil // not 0, which would lift the limit
		}
		return bits / 8, err
	}
	if last := s[max(len(s)-1, 0):]; last != "B" && strings.Trim(last, "0123456789.") != "" {
		return 0, ErrRate
	}
	n, err := parseBytes(s)
	if err == nil && n == 0 && strings.ContainsAny(s, "123456789") {
		return 1, nil
	}
	return n, err
}

// cutBit removes the unit of bits, leaving the number and the prefix.
func cutBit(s string) (string, bool) {
	lower := strings.ToLower(s)
	for _, unit := range []string{"bits", "bit", "bps"} {
		if strings.HasSuffix(lower, unit) {
			return s[:len(s)-len(unit)], true
		}
	}
	return s, false
}

// UnmarshalText implements encoding.TextUnmarshaler; see ParseRate.
func (r *Rate) UnmarshalText(text []byte) error {
	v, err := ParseRate(string(text))
	if err == nil {
		*r = v
	}
	return err
}

// String is the rate for people, to three digits: "11.9 MiB/s", "unlimited".
func (r Rate) String() string {
	if r == Unlimited {
		return "unlimited"
	}
	return Size(r).String() + "/s"
}

func parseBytes(s string) (int64, error) {
	n, err := humanize.ParseBytes(strings.TrimSpace(s))
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64 {
		return 0, strconv.ErrRange
	}
	return int64(n), nil
}

// trim turns "1.00 MiB" into "1 MiB".
func trim(s string) string {
	number, unit, _ := strings.Cut(s, " ")
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return number + " " + unit
}
