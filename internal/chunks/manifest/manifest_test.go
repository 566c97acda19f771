package manifest_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"fanout/internal/chunks/manifest"
)

func TestValidateName(t *testing.T) {
	hex64 := strings.Repeat("0a", 32)
	for _, tc := range []struct {
		name string
		want error
	}{
		{"image.qcow2", nil},
		{"two words", nil},
		{"données-模型.bin", nil},
		{"...", nil},
		{strings.Repeat("n", manifest.MaxNameLen), nil},
		{hex64 + "0", nil},
		{"", manifest.ErrName},
		{".", manifest.ErrName},
		{"..", manifest.ErrName},
		{"a/b", manifest.ErrName},
		{"a\x00b", manifest.ErrName},
		{"a\nb", manifest.ErrName},
		{"a\u0085b", manifest.ErrName},
		{"\xff", manifest.ErrName},
		{strings.Repeat("n", manifest.MaxNameLen+1), manifest.ErrName},
		{hex64, manifest.ErrName},
		{strings.ToUpper(hex64), manifest.ErrName},
	} {
		if err := manifest.ValidateName(tc.name); !cmp.Equal(err, tc.want, cmpopts.EquateErrors()) {
			t.Errorf("ValidateName(%q) = %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestChunkSizeFor(t *testing.T) {
	for _, tc := range []struct{ size, want int64 }{
		{-1, 16 << 10},
		{0, 16 << 10},
		{10 << 20, 16 << 10},
		{32<<20 - 1, 16 << 10},
		{32 << 20, 32 << 10},
		{64<<20 - 1, 32 << 10},
		{64 << 20, 64 << 10},
		{100 << 20, 64 << 10},
		{1 << 30, 1 << 20},
		{4 << 30, 4 << 20},
		{1 << 42, 4 << 20},
		{1<<42 + 1, 8 << 20}, // else more than MaxChunks
		{1 << 43, 8 << 20},
		{manifest.MaxSize, 64 << 20},
		{math.MaxInt64, 64 << 20},
	} {
		got := manifest.ChunkSizeFor(tc.size)
		if got != tc.want {
			t.Errorf("ChunkSizeFor(%d) = %d, want %d", tc.size, got, tc.want)
		}
		if err := manifest.CheckChunkSize(got); err != nil {
			t.Errorf("ChunkSizeFor(%d): %v", tc.size, err)
		}
	}
}

func TestCheckChunkSize(t *testing.T) {
	for _, tc := range []struct {
		n    int64
		want error
	}{
		{4 << 10, nil},
		{64 << 20, nil},
		{4<<10 + 1, nil},
		{64<<20 - 1, nil},
		{5000, nil},
		{806597, nil},
		{4<<10 - 1, manifest.ErrChunkSize},
		{64<<20 + 1, manifest.ErrChunkSize},
		{128 << 20, manifest.ErrChunkSize},
		{1, manifest.ErrChunkSize},
		{0, manifest.ErrChunkSize},
		{math.MinInt64, manifest.ErrChunkSize},
	} {
		if err := manifest.CheckChunkSize(tc.n); !cmp.Equal(err, tc.want, cmpopts.EquateErrors()) {
			t.Errorf("CheckChunkSize(%d) = %v, want %v", tc.n, err, tc.want)
		}
	}
}

// What is too large says which chunk size would do.
func TestTooManyChunks(t *testing.T) {
	const mib = 1 << 20
	for _, tc := range []struct {
		size, cs, least int64 // least: the chunk size that would do; 0 for none
		want            error
	}{
		{4 << 40, 4 * mib, 4 * mib, nil},
		{4<<40 + 1, 4 * mib, 8 * mib, manifest.ErrSize},
		{4<<40 + 1, 0, 8 * mib, nil},
		{4 << 40, 4*mib - 1, 4 * mib, manifest.ErrSize},
		{4<<40 + 1, 4*mib + 1, 8 * mib, nil},
		{1 << 40, 4 << 10, mib, manifest.ErrSize},
		{manifest.MaxSize, 0, 64 * mib, nil},
		{manifest.MaxSize + 1, 0, 0, manifest.ErrSize},
		{math.MaxInt64, 64 * mib, 0, manifest.ErrSize},
		{0, 4 << 10, 4 << 10, nil},
	} {
		err := manifest.CheckSize(tc.size, tc.cs)
		if !cmp.Equal(err, tc.want, cmpopts.EquateErrors()) {
			t.Errorf("CheckSize(%d, %d) = %v, want %v", tc.size, tc.cs, err, tc.want)
		}
		var many *manifest.TooManyChunks
		if errors.As(err, &many) != (err != nil && tc.least > 0) {
			t.Errorf("CheckSize(%d, %d) = %v: can larger chunks help?", tc.size, tc.cs, err)
		}
		if tc.least > 0 && (manifest.LeastChunkSize(tc.size) != tc.least || manifest.CheckSize(tc.size, tc.least) != nil) {
			t.Errorf("LeastChunkSize(%d) = %d, want %d", tc.size, manifest.LeastChunkSize(tc.size), tc.least)
		}
	}
}

func TestValidate(t *testing.T) {
	const cs = manifest.MinChunkSize
	for _, tc := range []struct {
		name    string
		size    int64
		cs      int64
		digests int
		want    error
	}{
		{"empty", 0, cs, 0, nil},
		{"one byte", 1, cs, 1, nil},
		{"whole chunk", cs, cs, 1, nil},
		{"one over", cs + 1, cs, 2, nil},
		{"empty with a chunk", 0, cs, 1, manifest.ErrCount},
		{"chunk missing", cs + 1, cs, 1, manifest.ErrCount},
		{"negative", -1, cs, 0, manifest.ErrSize},
		{"too many chunks", cs*manifest.MaxChunks + 1, cs, 0, manifest.ErrSize},
		{"greatest", math.MaxInt64, cs, 0, manifest.ErrSize},
		{"odd chunk size", cs + 1, cs + 1, 1, nil},
		{"one over an odd chunk size", cs + 2, cs + 1, 2, nil},
		{"chunk of an odd chunk size missing", 2*cs + 3, cs + 1, 2, manifest.ErrCount},
		{"as many odd chunks as there may be", (cs + 1) * manifest.MaxChunks, cs + 1, manifest.MaxChunks, nil},
		{"too many odd chunks", (cs+1)*manifest.MaxChunks + 1, cs + 1, 0, manifest.ErrSize},
		{"chunk size below the least", 1, cs - 1, 1, manifest.ErrChunkSize},
		{"chunk size above the largest", 1, manifest.MaxChunkSize + 1, 1, manifest.ErrChunkSize},
	} {
		m := manifest.Manifest{Name: "f", Size: tc.size, ChunkSize: tc.cs, Digests: make([]manifest.Digest, tc.digests)}
		if err := m.Validate(); !cmp.Equal(err, tc.want, cmpopts.EquateErrors()) {
			t.Errorf("%s: Validate() = %v, want %v", tc.name, err, tc.want)
		}
	}
}

// The canonical encoding is what peers of all versions agree on: these two
// values must never change.
func TestEncodingIsFixed(t *testing.T) {
	m := &manifest.Manifest{Name: "é", Size: 4097, ChunkSize: 4096, Digests: []manifest.Digest{{1}, {2}}}
	want := "FANOUTM1" + "\x00\x00\x00\x00\x00\x00\x10\x01" + "\x00\x00\x00\x00\x00\x00\x10\x00" +
		"\x00\x02" + "é" + "\x00\x00\x00\x02" +
		"\x01" + strings.Repeat("\x00", 31) + "\x02" + strings.Repeat("\x00", 31)
	if got := m.Encode(); string(got) != want {
		t.Errorf("Encode() = %q, want %q", got, want)
	}
	const id = "3542e2ea32744b4f34a484e7ee954624ec01144e8d803fc28aa737a12a5f3a45"
	if got := m.ID().String(); got != id {
		t.Errorf("ID() = %s, want %s", got, id)
	}
}

// The bytes of a manifest whose chunk size is no power of two, as another program would write them.
func TestDecodeAnyChunkSize(t *testing.T) {
	want := &manifest.Manifest{Name: "f", Size: 806598, ChunkSize: 806597, Digests: []manifest.Digest{{1}, {2}}}
	encoded := "FANOUTM1" + "\x00\x00\x00\x00\x00\x0c\x4e\xc6" + "\x00\x00\x00\x00\x00\x0c\x4e\xc5" +
		"\x00\x01" + "f" + "\x00\x00\x00\x02" +
		"\x01" + strings.Repeat("\x00", 31) + "\x02" + strings.Repeat("\x00", 31)
	got, err := manifest.Decode([]byte(encoded))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Length(0) != 806597 || got.Offset(1) != 806597 || got.Length(1) != 1 {
		t.Errorf("chunk 0 has %d bytes, chunk 1 begins at %d and has %d", got.Length(0), got.Offset(1), got.Length(1))
	}
}

func TestDecodeRejects(t *testing.T) {
	good := (&manifest.Manifest{Name: "file", Size: 5000, ChunkSize: 4096, Digests: make([]manifest.Digest, 2)}).Encode()
	const nameLen, count = 24, 30
	for _, tc := range []struct {
		name string
		data []byte
	}{
		{"nothing", nil},
		{"half a header", good[:10]},
		{"half a name", good[:28]},
		{"digest missing", good[:len(good)-32]},
		{"half a digest", good[:len(good)-1]},
		{"trailing byte", append(bytes.Clone(good), 0)},
		{"other version", patch(good, 7, '2')},
		{"negative size", patch(good, 8, 0x80)},
		{"size of another count", patch(good, 14, 0xff)},
		{"chunk size too small", patch(good, 22, 0x0f)},
		{"chunk size too large", patch(good, 20, 0x04)},
		{"chunk size of another count", patch(good, 22, 0x20)},
		{"name longer than the rest", patch(good, nameLen, 0xff)},
		{"name with a slash", patch(good, 26, '/')},
		{"absurd count", patch(good, count, 0xff)},
	} {
		if m, err := manifest.Decode(tc.data); !cmp.Equal(err, manifest.ErrEncoding, cmpopts.EquateErrors()) {
			t.Errorf("%s: Decode = %v, %v; want %v", tc.name, m, err, manifest.ErrEncoding)
		}
	}
}

func TestEncodeDecodeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManifest(t)
		got, err := manifest.Decode(m.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		if m.ID() != got.ID() {
			t.Fatal("same manifest, two IDs")
		}
	})
}

// Chunks lie side by side and cover the file.
func TestChunksCoverTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManifest(t)
		var end int64
		for c := range m.Chunks() {
			if m.Offset(c) != end || m.Length(c) < 1 || int64(m.Length(c)) > m.ChunkSize {
				t.Fatalf("chunk %d: offset %d length %d after %d", c, m.Offset(c), m.Length(c), end)
			}
			end += int64(m.Length(c))
		}
		if end != m.Size || m.Length(-1) != 0 || m.Length(m.Chunks()) != 0 {
			t.Fatalf("chunks end at %d of %d", end, m.Size)
		}
	})
}

func TestParseHex(t *testing.T) {
	id := manifest.ID{0xab, 31: 0x01}
	text, err := id.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back manifest.ID
	if err := back.UnmarshalText(text); err != nil || back != id {
		t.Errorf("UnmarshalText(%s) = %v, %v", text, back, err)
	}
	if d, err := manifest.ParseDigest(string(text)); err != nil || d != manifest.Digest(id) {
		t.Errorf("ParseDigest(%s) = %v, %v", text, d, err)
	}
	for _, s := range []string{"", "ab", strings.ToUpper(string(text)), string(text) + "00", strings.Repeat("g", 64)} {
		if _, err := manifest.ParseID(s); !cmp.Equal(err, manifest.ErrHex, cmpopts.EquateErrors()) {
			t.Errorf("ParseID(%q): %v, want %v", s, err, manifest.ErrHex)
		}
		if err := back.UnmarshalText([]byte(s)); err == nil || back != id {
			t.Errorf("UnmarshalText(%q) = %v and changed to %v", s, err, back)
		}
	}
}

// What decodes is valid and encodes to the same bytes.
func FuzzDecode(f *testing.F) {
	good := (&manifest.Manifest{Name: "file", Size: 5000, ChunkSize: 4096, Digests: make([]manifest.Digest, 2)}).Encode()
	f.Add(good)
	f.Add((&manifest.Manifest{Name: "empty", ChunkSize: 4096}).Encode())
	f.Add((&manifest.Manifest{Name: "odd", Size: 4*806597 + 1, ChunkSize: 806597, Digests: make([]manifest.Digest, 5)}).Encode())
	f.Add((&manifest.Manifest{Name: "one", Size: 4097, ChunkSize: 4097, Digests: make([]manifest.Digest, 1)}).Encode())
	f.Add(good[:30])
	f.Add(patch(good, 30, 0xff))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := manifest.Decode(data)
		if err != nil {
			return
		}
		if err := m.Validate(); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(m.Encode(), data) {
			t.Errorf("%q encodes to %q", data, m.Encode())
		}
	})
}

func drawManifest(t *rapid.T) *manifest.Manifest {
	chunkSize := rapid.Int64Range(manifest.MinChunkSize, manifest.MaxChunkSize).Draw(t, "chunk size")
	digests := rapid.SliceOfN(rapid.Uint64(), 0, 9).Draw(t, "digests")
	m := &manifest.Manifest{
		Name: rapid.StringMatching(`[\pL\pN ._-]{1,40}x`).Filter(func(s string) bool {
			return manifest.ValidateName(s) == nil
		}).Draw(t, "name"),
		ChunkSize: chunkSize,
		Digests:   make([]manifest.Digest, len(digests)),
	}
	for i, d := range digests {
		m.Digests[i] = manifest.Digest{byte(d), byte(d >> 8), 31: byte(d >> 16)}
	}
	if n := int64(len(digests)); n > 0 {
		m.Size = (n-1)*chunkSize + rapid.Int64Range(1, chunkSize).Draw(t, "last chunk")
	}
	return m
}

func patch(data []byte, at int, b byte) []byte {
	out := bytes.Clone(data)
	out[at] = b
	return out
}
