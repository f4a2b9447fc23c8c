package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// Erasure says which messages have no body in a copy of the log.
type Erasure struct {
	Recalled bool         // all that were recalled
	Places   []chat.Place // these, recalled or not
}

// Copied is what a copy of the log is.
type Copied struct {
	Blocks, Messages int
	Erased           int // messages that have lost their bodies on the way
	Bodiless         int // messages that had none before
	Bytes            int64
	First, Last      chat.Revision
	Took             time.Duration
}

// Copy writes the log to another broker: every block at its revision, with its hash, but some without their bodies. It reads the log twice,
// because a message is recalled after it is said. Nothing may be appended meanwhile; if something was, Copy fails. Progress may be nil; it
// is told of both walks.
func Copy(ctx context.Context, log Log, to *streams.Twin, what Erasure, progress func(done, total chat.Revision)) (Copied, error) {
	started := time.Now()
	last, err := log.LastRevision(ctx)
	if err != nil {
		return Copied{}, err
	}
	if last == 0 {
		return Copied{}, errors.New("the log is empty: there is nothing to copy")
	}
	c := &copier{log: log, to: to, last: last, progress: progress, doomed: make(map[chat.Place]bool)}
	if err := c.choose(ctx, what); err != nil {
		return Copied{}, err
	}
	if err := c.hasNotGrown(ctx); err != nil {
		return Copied{}, err
	}
	if err := c.copy(ctx); err != nil {
		return Copied{}, err
	}
	c.done.Last, c.done.Took = last, time.Since(started)
	return c.done, c.hasNotGrown(ctx)
}

type copier struct {
	log      Log
	to       *streams.Twin
	last     chat.Revision
	progress func(done, total chat.Revision)

	doomed map[chat.Place]bool // the messages that lose their bodies
	done   Copied
}

// choose walks through the log for what is to be erased, and where it begins.
func (c *copier) choose(ctx context.Context, what Erasure) error {
	named := make(map[chat.Place]bool, len(what.Places))
	for _, place := range what.Places {
		named[place], c.doomed[place] = true, true
	}
	err := c.walk(ctx, func(raw streams.RawEntry, block *chat.Block, _ chat.Hash) error {
		if c.done.First == 0 {
			c.done.First = raw.Revision
		}
		for i := range block.Records {
			switch r := &block.Records[i]; r.Kind { //nolint:exhaustive // the others neither have a body nor erase one
			case chat.MessageRecord:
				delete(named, chat.PlaceOf(c.log.Base(), raw.Revision, i))
			case chat.RecallRecord:
				if what.Recalled {
					c.doomed[r.Recall.Place] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, place := range what.Places {
		if named[place] {
			return fmt.Errorf("there is no message at place %d", place)
		}
	}
	return nil
}

// copy walks through the log again and writes it.
func (c *copier) copy(ctx context.Context) error {
	if err := c.to.Begin(ctx, c.done.First); err != nil {
		return err
	}
	err := c.walk(ctx, func(raw streams.RawEntry, block *chat.Block, prev chat.Hash) error {
		if c.erase(raw.Revision, block) {
			hash := block.Hash
			raw.Data = chat.AppendBlock(nil, block, prev)
			if block.Hash != hash {
				return &Fault{
					Partition: raw.Partition, Revision: raw.Revision,
					What: "encoded again the block has another hash: another program has written it",
				}
			}
		}
		c.done.Blocks++
		c.done.Bytes += int64(len(raw.Data))
		return c.to.Put(ctx, raw)
	})
	if err != nil {
		return err
	}
	return c.to.Flush(ctx)
}

// erase takes the bodies out of a block, and reports whether there were any to take.
func (c *copier) erase(rev chat.Revision, block *chat.Block) bool {
	before := c.done.Erased
	for i := range block.Records {
		r := &block.Records[i]
		if r.Kind != chat.MessageRecord {
			continue
		}
		c.done.Messages++
		switch {
		case r.Erased:
			c.done.Bodiless++
		case c.doomed[chat.PlaceOf(c.log.Base(), rev, i)]:
			r.Body, r.Extra, r.Erased = "", "", true
			c.done.Erased++
		}
	}
	return c.done.Erased > before
}

// walk calls f with every entry of the log, its block, and the hash of the block before it.
func (c *copier) walk(ctx context.Context, f func(streams.RawEntry, *chat.Block, chat.Hash) error) error {
	tails := make(chain)
	return walk(ctx, c.log, c.last, func(raw streams.RawEntry) error {
		if c.progress != nil {
			c.progress(raw.Revision, c.last)
		}
		prev := tails[raw.Partition].Hash
		block, err := tails.follow(c.log.Base(), raw)
		if err != nil {
			return err
		}
		return f(raw, block, prev)
	})
}

// hasNotGrown makes sure that the copy is one of the whole log.
func (c *copier) hasNotGrown(ctx context.Context) error {
	now, err := c.log.LastRevision(ctx)
	if err != nil {
		return err
	}
	if now != c.last {
		return fmt.Errorf("the log has grown from revision %d to %d while it was copied, so the copy is worth nothing: "+
			"stop every edge and worker, empty the copy's store directory, and begin anew", c.last, now)
	}
	return nil
}
