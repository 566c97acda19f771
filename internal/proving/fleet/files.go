package fleet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

// WriteRandom writes a file of so many incompressible bytes, the same for the same seed.
func WriteRandom(path string, size int64, seed uint64) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	_, err = io.CopyN(out, rand.NewChaCha8(key), size)
	return errors.Join(err, out.Close())
}

// Compare reads two files to the end, and returns an error that names the first byte in
// which they differ.
func Compare(got, want string) error {
	a, err := os.Open(got)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(want)
	if err != nil {
		return err
	}
	defer b.Close()
	at, same, err := firstDifference(a, b)
	if err != nil {
		return fmt.Errorf("compare %s with %s: %w", got, want, err)
	}
	if !same {
		return fmt.Errorf("%s differs from %s at byte %d", got, want, at)
	}
	return nil
}

func firstDifference(a, b io.Reader) (at int64, same bool, err error) {
	const window = 1 << 20
	left, right := bufio.NewReaderSize(a, window), bufio.NewReaderSize(b, window)
	for {
		p, errA := left.Peek(window)
		q, errB := right.Peek(window)
		n := min(len(p), len(q))
		if !bytes.Equal(p, q) {
			i := 0
			for i < n && p[i] == q[i] {
				i++
			}
			return at + int64(i), false, nil
		}
		at += int64(n)
		if errA == io.EOF && errB == io.EOF {
			return at, true, nil
		}
		if err := errors.Join(notEOF(errA), notEOF(errB)); err != nil {
			return at, false, err
		}
		left.Discard(n) // what was peeked
		right.Discard(n)
	}
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
