package inproc_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// When everybody has everything, nobody keeps sessions, with the origin or with each other, however
// many files there were; and who has lost a file gets it again.
func TestSessionsEnd(t *testing.T) {
	for _, strategy := range []string{"swarm", "static", "direct"} {
		t.Run(strategy, func(t *testing.T) {
			r := newRig(t)
			var files []string
			for i := range 4 {
				files = append(files, fmt.Sprint("f", i))
				r.write(files[i], (5+i)*chunkSize)
			}
			o := r.origin(files...)
			peers := []*peer{r.peer(""), r.peer(""), r.peer("")}
			for _, f := range files {
				for _, p := range peers {
					p.start(request(f, strategy))
				}
			}
			for _, f := range files {
				for _, p := range peers {
					complete(t, p.finish(request(f, strategy)))
				}
			}
			for _, d := range append([]*daemon{o}, peers[0].daemon, peers[1].daemon, peers[2].daemon) {
				r.await("the end of all sessions", func() bool {
					return strings.Contains(r.get(d.http+"/metrics"), "fanout_sessions 0\n")
				})
			}
			lost := peers[0]
			r.must(os.Remove(filepath.Join(lost.dir, files[0])))
			complete(t, lost.finish(request(files[0], strategy)))
			late := r.peer("")
			complete(t, late.finish(request(files[1], strategy)))
		})
	}
}

func request(file, strategy string) string {
	return fmt.Sprintf(`{"file":%q,"strategy":%q}`, file, strategy)
}
