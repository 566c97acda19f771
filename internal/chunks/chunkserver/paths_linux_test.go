package chunkserver_test

import (
	"testing"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/wire"
)

// What is sent goes in bursts, which are smaller while a latecomer is sent to.
func TestBursts(t *testing.T) {
	for _, tc := range []struct {
		name        string
		late        bool
		least, most uint32 // packets for 4 MiB, over loopback, whose packets hold up to 64 KiB
	}{
		{"among equals", false, 256, 650},
		{"beside a latecomer", true, 700, 2500},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFile(t, 64, 64<<10)
			a := source(t, f, func(c *chunkserver.Config) { c.Upload = chunkserver.NewLimiter(10 << 20) })
			b := sink(t, f, nil)
			if tc.late {
				chunkserver.SendToLatecomer(a.server)
			}
			a.answer = serve
			dialled, accepted := b.pair(t, a)
			for c := range f.m.Chunks() {
				dialled.Send(wire.KindGet, c)
			}
			b.await(t, "all chunks", func(x *seen) bool { return len(x.landed) == f.m.Chunks() })
			n, err := chunkserver.Packets(accepted)
			if err != nil {
				t.Fatal(err)
			}
			if n < tc.least || n > tc.most {
				t.Errorf("%d packets, want %d to %d", n, tc.least, tc.most)
			}
		})
	}
}
