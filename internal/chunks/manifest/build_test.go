package manifest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/zeebo/blake3"
	"go.uber.org/goleak"

	"fanout/internal/chunks/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBuild(t *testing.T) {
	const cs = 4096
	for _, tc := range []struct {
		name      string
		size      int
		chunkSize int64
		chunks    int
	}{
		{"empty", 0, cs, 0},
		{"one byte", 1, cs, 1},
		{"chunk-1", cs - 1, cs, 1},
		{"chunk", cs, cs, 1},
		{"chunk+1", cs + 1, cs, 2},
		{"many", 100*cs + 7, cs, 101},
		{"automatic", 100_000, 0, 7},
		{"chunk larger than the hash buffer", 3<<20 + 5, 1 << 20, 4},
		{"odd, last of one byte", 12*806_597 + 1, 806_597, 13},
		{"odd, one for each of 13", 10 << 20, 806_597, 13},
		{"odd, the whole file", 806_597, 806_597, 1},
		{"odd, larger than the file", 5000, 5001, 1},
		{"prime", 100*4099 - 1, 4099, 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data := randomBytes(tc.size)
			var progress atomic.Int64
			m, err := manifest.Build(t.Context(), "f", bytes.NewReader(data), int64(tc.size), tc.chunkSize,
				func(n int64) { progress.Add(n) })
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Validate(); err != nil {
				t.Error(err)
			}
			if m.Chunks() != tc.chunks || progress.Load() != int64(tc.size) {
				t.Errorf("%d chunks, progress %d; want %d, %d", m.Chunks(), progress.Load(), tc.chunks, tc.size)
			}
			for c := range m.Chunks() {
				chunk := data[m.Offset(c):][:m.Length(c)]
				if m.Digests[c] != blake3.Sum256(chunk) {
					t.Errorf("chunk %d: wrong digest", c)
				}
				if err := m.Verify(c, chunk); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestVerifyRejects(t *testing.T) {
	data := randomBytes(5000)
	m := build(t, data, 4096)
	wrong := bytes.Clone(data[:4096])
	wrong[4095] ^= 1
	for _, tc := range []struct {
		name  string
		chunk int
		data  []byte
		want  error
	}{
		{"flipped bit", 0, wrong, manifest.ErrDigest},
		{"other chunk", 1, data[:904], manifest.ErrDigest},
		{"short", 0, data[:4095], manifest.ErrLength},
		{"last one padded", 1, make([]byte, 4096), manifest.ErrLength},
		{"none", 0, nil, manifest.ErrLength},
		{"beyond the end", 2, nil, manifest.ErrNoChunk},
		{"negative", -1, nil, manifest.ErrNoChunk},
	} {
		if err := m.Verify(tc.chunk, tc.data); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestBuildFails(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	data := bytes.NewReader(randomBytes(10_000))
	broken := errors.New("disk broken")
	for _, tc := range []struct {
		name      string
		ctx       context.Context
		file      string
		r         io.ReaderAt
		size      int64
		chunkSize int64
		want      error
	}{
		{"reader too short", t.Context(), "f", data, 10_001, 4096, manifest.ErrShort},
		{"reader fails", t.Context(), "f", failingReader{broken}, 10_000, 4096, broken},
		{"cancelled", cancelled, "f", data, 10_000, 4096, context.Canceled},
		{"bad name", t.Context(), "a/b", data, 10_000, 4096, manifest.ErrName},
		{"bad chunk size", t.Context(), "f", data, 10_000, 1, manifest.ErrChunkSize},
		{"negative size", t.Context(), "f", data, -1, 0, manifest.ErrSize},
		{"too many chunks", t.Context(), "f", data, 1 << 60, 0, manifest.ErrSize},
	} {
		if m, err := manifest.Build(tc.ctx, tc.file, tc.r, tc.size, tc.chunkSize, nil); m != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: Build = %v, %v; want %v", tc.name, m, err, tc.want)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	data := randomBytes(64 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		build(b, data, 0)
	}
}

func build(t testing.TB, data []byte, chunkSize int64) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Build(context.Background(), "f", bytes.NewReader(data), int64(len(data)), chunkSize, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type failingReader struct{ err error }

func (r failingReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }

func randomBytes(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{'f'}).Read(p)
	return p
}
