package store

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime/debug"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// damaged is the error for a database that cannot be read as one.
func damaged(path string, why any) error {
	return fmt.Errorf("%s is damaged (%v): move it away and start the tracker again; running origins publish their files anew, "+
		"uploaded tables and rollouts are lost", path, why)
}

// guard turns what bbolt does when it reads a damaged file, which it maps into memory and
// believes, into an error: it panics, or reads where nothing is.
func guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged(path, r)
		}
	}()
	return f()
}

// verify looks at all of a database before anything is believed or written.
func verify(db *bolt.DB) error {
	return guard(db.Path(), func() error {
		return db.View(func(tx *bolt.Tx) error {
			info, err := os.Stat(db.Path())
			if err != nil {
				return err
			}
			if info.Size() < tx.Size() {
				return damaged(db.Path(), fmt.Sprintf("it ends after %d of %d bytes", info.Size(), tx.Size()))
			}
			if err := boundedPages(tx); err != nil {
				return damaged(db.Path(), err)
			}
			err = tx.ForEach(func(name []byte, b *bolt.Bucket) error {
				read := crc32.NewIEEE()
				return b.ForEach(func(key, value []byte) error {
					read.Write(key)
					read.Write(value)
					return nil
				})
			})
			if err != nil {
				return damaged(db.Path(), err)
			}
			for why := range tx.Check() { // to its end: it would wait for ever to tell the rest
				if err == nil {
					err = damaged(db.Path(), why)
				}
			}
			return err
		})
	})
}

// boundedPages checks that no page claims more pages behind it than there are: bbolt's own
// check would count through them, billions, and note each.
func boundedPages(tx *bolt.Tx) error {
	all := int(tx.Size()) / tx.DB().Info().PageSize
	for id := 0; id < all; {
		p, err := tx.Page(id)
		switch {
		case err != nil || p == nil:
			return err
		case p.Type == "free": // it says nothing
			id++
			continue
		case p.OverflowCount < 0 || p.OverflowCount >= all-id:
			return fmt.Errorf("page %d of %d claims %d more", id, all, p.OverflowCount)
		}
		id += 1 + p.OverflowCount
	}
	return nil
}

// update is a transaction that changes something.
func (s *Bolt) update(f func(*bolt.Tx) error) error {
	err := s.db.Update(f)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w: %s: %w: make room there", ErrNoRoom, s.db.Path(), err)
	}
	return err
}
