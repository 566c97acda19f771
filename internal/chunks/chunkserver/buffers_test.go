package chunkserver

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Lent and kept memory together stay within the limit, whatever the sizes.
func TestBuffersAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 1000
		b := newBuffers(limit)
		var lent [][]byte
		t.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				n := rapid.SampledFrom([]int{1, 10, 100, 100, 100, 990, 1000, 3000}).Draw(t, "n")
				free := int64(limit)
				for _, p := range lent {
					free -= b.weight(len(p))
				}
				ctx, cancel := context.WithCancel(t.Context())
				if b.weight(n) > free {
					cancel()
				}
				defer cancel()
				p, err := b.get(ctx, n)
				if (err != nil) != (b.weight(n) > free) || err == nil && len(p) != n {
					t.Fatalf("get %d with %d free: %d bytes, %v", n, free, len(p), err)
				}
				if err == nil {
					lent = append(lent, p)
				}
			},
			"put": func(t *rapid.T) {
				if len(lent) > 0 {
					i := rapid.IntRange(0, len(lent)-1).Draw(t, "which")
					b.put(lent[i])
					lent = slices.Delete(lent, i, i+1)
				}
			},
			"": func(t *rapid.T) {
				kept := int64(0)
				for _, p := range b.free {
					kept += int64(cap(p))
				}
				if kept != b.kept || kept > limit {
					t.Fatalf("%d bytes kept, it says %d, limit %d", kept, b.kept, limit)
				}
			},
		})
	})
}
