// Package sequence is the worker that judges requests and appends them to the log. The rule is [chat.Sequencer]; this package
// carries it out: it reads a partition's ingress, asks Postgres what the rule needs to know, and appends blocks by
// compare-and-set, one in flight a partition.
package sequence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// Database is what the sequencer asks Postgres for.
type Database interface {
	LookUp(ctx context.Context, n chat.Needs) (chat.Facts, error)
	Mark(ctx context.Context, p chat.Partition) (chat.Mark, error)
	KnownIDs(ctx context.Context, p chat.Partition, yield func(prefixes []byte) error) error
}

// Config is what a sequencer needs. Zero durations and limits mean the defaults of [chat.SequencerConfig].
type Config struct {
	Node     chat.NodeID
	Addrs    map[string]string // what the process listens on; see [streams.Member]
	Conn     *streams.Conn
	Database Database
	Outbox   Outbox      // the changes of groups on their way into the log; nil: there are none
	Events   EventOutbox // events on their way into their stream; nil: there are none
	Log      *slog.Logger
	Metrics  *Metrics

	IDWindow       time.Duration // how long identities are remembered at least
	FactTTL        time.Duration // how long users, relations and apps are believed
	RecallWindow   time.Duration // how long a sender may recall a message
	LookUpPatience time.Duration // a look-up that takes longer has failed; 0: 1 s

	turns *turns
}

// Run serves the node's share of partitions until ctx ends.
func Run(ctx context.Context, cfg Config) {
	if cfg.LookUpPatience == 0 {
		cfg.LookUpPatience = time.Second
	}
	cfg.turns = newTurns(cfg.Conn.Lanes())
	prepare := func(_ context.Context, g *streams.Generation, members *streams.Members) (streams.Duty, error) {
		return streams.Duty{
			Node: cfg.Node, Addrs: cfg.Addrs, Log: cfg.Log, Panicked: cfg.Metrics.panics.Inc,
			Own: func(ctx context.Context, p chat.Partition, post *streams.Post) error {
				return own(ctx, cfg, g, members, p, post)
			},
		}, nil
	}
	cfg.Conn.Work(ctx, streams.RoleSequence, prepare)
}

// own owns one partition until ctx ends.
func own(
	ctx context.Context, cfg Config, g *streams.Generation, members *streams.Members, p chat.Partition, post *streams.Post,
) error {
	ctx, cancel := context.WithCancel(ctx)
	o := &owner{
		cfg: cfg, g: g, members: members, partition: p, post: post,
		log:       cfg.Log.With("partition", p),
		seat:      newSeat(cfg.turns),
		committed: make(chan commit, 1),
		answers:   make(chan answer, 1),
		known:     make(chan []uint64, 4),
		stale:     make(chan *chat.Event, staleInbox),
		verdicts:  make(chan hookAnswer, hooksAtOnce),
	}
	defer o.wg.Wait()
	defer cancel()
	if err := cfg.Conn.HearEvents(ctx, o.heed, func() { o.heed(nil) }); err != nil {
		return err
	}
	if err := o.takeOver(ctx); err != nil {
		return fmt.Errorf("take over partition %d: %w", p, err)
	}
	if p == 0 {
		if err := o.relayOutboxes(ctx); err != nil {
			return err
		}
	}
	return o.loop(ctx)
}

// relayOutboxes moves on what Postgres has decided, for as long as this owner has partition 0.
func (o *owner) relayOutboxes(ctx context.Context) error {
	if o.cfg.Outbox != nil {
		nudges, err := o.cfg.Conn.Nudged(ctx)
		if err != nil {
			return err
		}
		r := relay{
			outbox: o.cfg.Outbox, patience: o.cfg.LookUpPatience, submit: o.cfg.Conn.Submit, log: o.log, nudges: nudges,
			unreadable: o.cfg.Metrics.unreadableChanges.Inc,
		}
		o.wg.Go(func() { r.run(ctx) })
	}
	if o.cfg.Events != nil {
		nudges, err := o.cfg.Conn.Nudged(ctx)
		if err != nil {
			return err
		}
		r := eventRelay{
			outbox: o.cfg.Events, patience: o.cfg.LookUpPatience, publish: o.cfg.Conn.PublishEvent, log: o.log, nudges: nudges,
		}
		o.wg.Go(func() { r.run(ctx) })
	}
	return nil
}

// staleInbox is how many events may wait for the loop. What does not fit is forgotten: then everything is taken for stale.
const staleInbox = 1024

// heed hands an event on to the loop.
func (o *owner) heed(e *chat.Event) {
	if e != nil && !e.Stale.App && len(e.Stale.Users) == 0 && len(e.Stale.Relations) == 0 {
		return
	}
	select {
	case o.stale <- e:
	default:
		o.overrun.Store(true)
	}
}

// takeOver folds what the log has after Postgres's mark.
func (o *owner) takeOver(ctx context.Context) error {
	mark, err := o.mark(ctx)
	if err != nil {
		return err
	}
	o.rule = chat.NewSequencer(chat.SequencerConfig{
		Partition: o.partition, Base: o.cfg.Conn.Base(), Life: o.g.Ingress,
		IDWindow: o.cfg.IDWindow, FactTTL: o.cfg.FactTTL, RecallWindow: o.cfg.RecallWindow,
	})
	started, blocks := time.Now(), 0
	if mark.Revision > 0 {
		if err := o.anchor(ctx, mark); err != nil {
			return err
		}
	}
	_, err = o.cfg.Conn.ReadLog(ctx, o.partition, mark.Revision, func(e streams.RawEntry) error {
		blocks++
		return o.fold(e)
	})
	if err != nil {
		return err
	}
	o.startFilter(ctx)
	o.in, err = o.cfg.Conn.ReadIngress(ctx, o.g, o.partition, o.rule.From())
	o.log.DebugContext(ctx, "log folded", "blocks", blocks, "mark", mark.Revision, "tail", o.rule.Tail().Revision,
		"position", o.rule.From(), "took", time.Since(started).String())
	return err
}

// mark asks Postgres how far it has the partition. When it does not answer, the persist workers' last word serves as well: a mark
// may be too low, never too high. Without either the whole log is read.
func (o *owner) mark(ctx context.Context) (chat.Mark, error) {
	ask, cancel := context.WithTimeout(ctx, o.cfg.LookUpPatience)
	defer cancel()
	mark, err := o.cfg.Database.Mark(ask, o.partition)
	if err == nil {
		return mark, nil
	}
	if ctx.Err() != nil {
		return chat.Mark{}, ctx.Err()
	}
	rev := chat.Revision(o.members.Highest(streams.RolePersist, o.partition))
	o.log.WarnContext(ctx, "postgres does not tell its mark; reading the log from what persist said last", "revision", rev, "cause", err)
	return chat.Mark{Revision: rev}, nil
}

// anchor starts the fold at the entry that Postgres's mark is at.
func (o *owner) anchor(ctx context.Context, mark chat.Mark) error {
	raw, ok, err := o.cfg.Conn.Entry(ctx, mark.Revision)
	if err != nil {
		return err
	}
	if !ok || raw.Partition != o.partition {
		return fmt.Errorf("the log has no revision %d, which postgres has: the log and the database do not belong together", mark.Revision)
	}
	block, err := chat.DecodeBlock(raw.Data)
	if err != nil {
		return fmt.Errorf("revision %d: %w", mark.Revision, err)
	}
	if mark.Hash != (chat.Hash{}) && mark.Hash != block.Hash {
		return fmt.Errorf("revision %d is not the one that postgres has: the log and the database do not belong together", mark.Revision)
	}
	o.rule.Anchor(chat.Entry{Revision: mark.Revision, Block: block})
	return o.resume(ctx, block)
}

func (o *owner) fold(e streams.RawEntry) error {
	o.post.Beat() // a long fold does not hang
	block, err := chat.DecodeBlockAfter(e.Data, o.rule.Tail().Hash)
	if err != nil {
		return fmt.Errorf("revision %d: %w", e.Revision, err)
	}
	if o.in != nil && block.Checkpoint.Life != o.g.Ingress {
		return errOtherLife // one of the two is of the past; begin again from what the log says
	}
	return o.rule.Fold(chat.Entry{Revision: e.Revision, Block: block}, time.Now())
}

// reload folds what has come after the newest block that was folded.
func (o *owner) reload(ctx context.Context) error {
	_, err := o.cfg.Conn.ReadLog(ctx, o.partition, o.rule.Tail().Revision, o.fold)
	return err
}

// lookBack is how many blocks before the mark are searched for the newest checkpoint of the ingress's present life. More than one block of
// another life in between takes an owner that has not noticed a new life for as many commits.
const lookBack = 16

// resume finds the newest checkpoint of the present life at or before the block at the mark. Usually it is in that block, or there is none.
func (o *owner) resume(ctx context.Context, block *chat.Block) error {
	for range lookBack {
		if block.Checkpoint.Life == o.g.Ingress {
			o.rule.Resume(block.Checkpoint)
			return nil
		}
		if block.Prev == 0 {
			return nil // the first block of all
		}
		raw, ok, err := o.cfg.Conn.Entry(ctx, block.Prev)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		if block, err = chat.DecodeBlock(raw.Data); err != nil {
			return fmt.Errorf("revision %d: %w", raw.Revision, err)
		}
	}
	return nil
}

// startFilter reads the identities that Postgres has, in the background, into the filter that tells new from perhaps known.
func (o *owner) startFilter(ctx context.Context) {
	o.wg.Go(func() {
		for ctx.Err() == nil {
			err := o.cfg.Database.KnownIDs(ctx, o.partition, func(b []byte) error {
				select {
				case o.known <- prefixes(b):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			if err == nil {
				close(o.known)
				return
			}
			o.log.DebugContext(ctx, "the filter of known ids must wait", "cause", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	})
}

func prefixes(b []byte) []uint64 {
	list := make([]uint64, 0, len(b)/8)
	for ; len(b) >= 8; b = b[8:] {
		list = append(list, chat.PrefixOf(b))
	}
	return list
}

var (
	errSilence   = errors.New("nothing comes through the partition's ingress, not even its ticks")
	errOtherLife = errors.New("an owner of another life of the ingress has appended a block")
)
