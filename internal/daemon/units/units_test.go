package units_test

import (
	"encoding"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fanout/internal/daemon/units"
)

var (
	_ encoding.TextUnmarshaler = (*units.Size)(nil)
	_ encoding.TextUnmarshaler = (*units.Rate)(nil)
)

func TestParseSize(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want units.Size
	}{
		{"0", 0},
		{"4096", 4096},
		{"806597", 806_597},
		{"806597B", 806_597},
		{"806597 b", 806_597},
		{"25MB", 25_000_000},
		{"25 mb", 25_000_000},
		{"1MiB", 1 << 20},
		{"1.5GiB", 3 << 29},
		{"64k", 64_000},
		{" 7 ", 7},
		{"9223372036854775807", math.MaxInt64},
	} {
		if got, err := units.ParseSize(tc.in); err != nil || got != tc.want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", tc.in, got, err, tc.want)
		}
	}
	for _, in := range []string{"", "MB", "-1", "-1MB", "1XB", "1e400", "1.2.3MB", "9223372036854775808", "99EiB", "NaN", "25MB/s"} {
		_, err := units.ParseSize(in)
		if !errors.Is(err, units.ErrSize) || !strings.Contains(err.Error(), `"`+in+`"`) || !strings.Contains(err.Error(), "1MiB") {
			t.Errorf("ParseSize(%q): %v; want the input and an example", in, err)
		}
	}
}

func TestParseRate(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want units.Rate
	}{
		{"0", units.Unlimited},
		{"unlimited", units.Unlimited},
		{"Unlimited", units.Unlimited},
		{"0Mbit", units.Unlimited},
		{"100Mbit", 12_500_000},
		{"100mbit/s", 12_500_000},
		{"100 Mbps", 12_500_000},
		{"1Gbit", 125_000_000},
		{"1.5Gbit", 187_500_000},
		{"8bit", 1},
		{"1bit", 1},
		{"0.5B", 1},
		{"1Mibit", 1 << 17},
		{"25MB", 25_000_000},
		{"12.5MB/s", 12_500_000},
		{"1MiB/s", 1 << 20},
		{"1000000", 1_000_000},
	} {
		if got, err := units.ParseRate(tc.in); err != nil || got != tc.want {
			t.Errorf("ParseRate(%q) = %d, %v; want %d", tc.in, got, err, tc.want)
		}
	}
	for _, in := range []string{"", "bit", "-1", "100M", "100Mb", "100mb", "fast", "1Mbit/h", "99Ebit", "/s"} {
		_, err := units.ParseRate(in)
		if !errors.Is(err, units.ErrRate) || !strings.Contains(err.Error(), `"`+in+`"`) || !strings.Contains(err.Error(), "100Mbit") {
			t.Errorf("ParseRate(%q): %v; want the input and an example", in, err)
		}
	}
}

func TestString(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{units.Size(0).String(), "0 B"},
		{units.Size(999).String(), "999 B"},
		{units.Size(1 << 20).String(), "1 MiB"},
		{units.Size(3 << 29).String(), "1.5 GiB"},
		{units.Size(25_000_000).String(), "23.8 MiB"},
		{units.Size(100_000_000).String(), "95.4 MiB"},
		{units.Size(-25_000_000).String(), "-23.8 MiB"},
		{units.Bytes(67_108_864), "64.0 MiB"},
		{units.Bytes(20_000_000), "19.1 MiB"},
		{units.Bytes(-1), "-1 B"},
		{units.Rate(0).String(), "unlimited"},
		{units.Rate(12_500_000).String(), "11.9 MiB/s"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestUnmarshalTextKeepsTheValueOnError(t *testing.T) {
	size, rate := units.Size(1), units.Rate(2)
	if err := errors.Join(size.UnmarshalText([]byte("64KiB")), rate.UnmarshalText([]byte("8Mbit"))); err != nil {
		t.Fatal(err)
	}
	if size.UnmarshalText([]byte("x")) == nil || rate.UnmarshalText([]byte("x")) == nil || size != 65536 || rate != 1_000_000 {
		t.Errorf("size %d, rate %d", size, rate)
	}
}

// What is printed can be read again, to the digits that are printed.
func TestPrintedRateCanBeRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := units.Rate(rapid.Int64Range(0, 1<<60).Draw(t, "rate"))
		got, err := units.ParseRate(want.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := math.Abs(float64(got - want)); diff > 0.006*float64(want) {
			t.Fatalf("%d printed as %s and read as %d", want, want, got)
		}
	})
}
