// Package audit holds the log against what it promises: verify checks the chain of blocks, the numbers in them and the rows in
// Postgres; replay tells from the log alone what happened; copy writes the log anew without bodies that shall be forgotten.
package audit

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
)

// Log is where the blocks are.
type Log interface {
	Base() chat.Revision
	Partitions() int
	LastRevision(ctx context.Context) (chat.Revision, error)
	Entry(ctx context.Context, rev chat.Revision) (streams.RawEntry, bool, error)
	FollowWholeLog(ctx context.Context, after chat.Revision) (*streams.Reader[streams.RawEntry], error)
}

// Rows is where their messages must be, too.
type Rows interface {
	Marks(ctx context.Context) (map[chat.Partition]chat.Mark, error)
	Messages(ctx context.Context, lo, hi chat.Place, limit int) ([]store.Message, error)
	Rejected(ctx context.Context, lo, hi chat.Place) ([]store.Rejected, error)
	Memberships(ctx context.Context, after store.StayKey, limit int) ([]store.Stay, store.StayKey, error)
	Settings(ctx context.Context, after store.SettingKey, limit int) ([]store.UserSettings, store.SettingKey, error)
}

// Fault is the first thing that is not as it must be.
type Fault struct { //nolint:errname // it is what a verification looks for, and only then an error
	Partition    chat.Partition
	Revision     chat.Revision
	Conversation chat.Conversation // the zero value if the whole block is at fault
	Place        chat.Place        // 0 if the whole block is at fault
	What         string
}

// Error implements error.
func (f *Fault) Error() string {
	s := fmt.Sprintf("revision %d", f.Revision)
	if f.Partition >= 0 {
		s = fmt.Sprintf("partition %d, %s", f.Partition, s)
	}
	if f.Conversation != (chat.Conversation{}) {
		s += ", conversation " + f.Conversation.String()
	}
	if f.Place != 0 {
		s += fmt.Sprintf(", place %d", f.Place)
	}
	return s + ": " + f.What
}

// Report is what a verification has seen.
type Report struct {
	Blocks, Messages, Refusals, Erased int
	Reads, Recalls, Changes, Settings  int
	Conversations                      int
	Rows                               int // messages whose row was compared
	Stays                              int // of members in groups whose row was compared
	Rejected                           int // messages that Postgres had refused, and that are put aside
	Bytes                              int64
	Last                               chat.Revision
	Took                               time.Duration
}

// windowBlocks is how many blocks are compared with their rows at once.
const windowBlocks = 256

// Verify walks the whole log: each block follows the one before it by its hash, bodies fit their digests, seqs and the versions of
// groups are dense, who speaks in a group is in it, reads move forward, a recall has its message, who sets something belongs there, and up to Postgres's mark the rows
// are those of the log, no more and no fewer. It returns a [*Fault] for the first that is not so.
// Progress may be nil.
func Verify(ctx context.Context, log Log, rows Rows, progress func(done, total chat.Revision)) (Report, error) {
	started := time.Now()
	// The marks first: whatever they cover is in the log that is looked at after that.
	marks, err := rows.Marks(ctx)
	if err != nil {
		return Report{}, err
	}
	last, err := log.LastRevision(ctx)
	if err != nil {
		return Report{}, err
	}
	v := &verifier{
		base: log.Base(), partitions: log.Partitions(), rows: rows, marks: marks,
		tails:   make(chain),
		heads:   make(map[chat.Conversation]chat.Seq),
		ids:     make(map[chat.ID]said),
		rules:   newRules(),
		tracked: chat.PlaceOf(log.Base(), 0, 0), last: last,
	}
	err = walk(ctx, log, last, func(raw streams.RawEntry) error {
		if progress != nil {
			progress(raw.Revision, last)
		}
		return v.block(ctx, raw)
	})
	if err == nil {
		err = v.compare(ctx, chat.PlaceOf(v.base, last+1, 0))
	}
	if err == nil {
		err = v.compareRecalls()
	}
	if err == nil {
		err = v.compareStays(ctx)
	}
	if err == nil {
		err = v.compareSettings(ctx)
	}
	if err == nil {
		err = v.marksAreInTheLog()
	}
	v.report.Conversations, v.report.Last, v.report.Took = len(v.heads), last, time.Since(started)
	return v.report, err
}

// walk calls f with every entry of the log up to last. Revisions have no gap: one that does not come is on the broker's disk no more, or not
// as the broker wrote it. The broker passes over such in silence; if it is the newest, nothing more would ever come.
func walk(ctx context.Context, log Log, last chat.Revision, f func(streams.RawEntry) error) error {
	if last == 0 {
		return nil
	}
	if _, there, err := log.Entry(ctx, last); err != nil || !there {
		return cmp.Or(err, missing(last))
	}
	r, err := log.FollowWholeLog(ctx, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	for next := chat.Revision(0); ; {
		select {
		case <-r.Ready():
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, raw := range r.Take(windowBlocks) {
			if next != 0 && raw.Revision != next {
				return missing(next)
			}
			next = raw.Revision + 1
			if err := f(raw); err != nil {
				return err
			}
			if raw.Revision == last {
				return nil
			}
		}
	}
}

func missing(rev chat.Revision) error {
	return &Fault{Partition: -1, Revision: rev, What: "the broker does not give this revision"}
}

type verifier struct {
	base       chat.Revision
	partitions int
	rows       Rows
	marks      map[chat.Partition]chat.Mark
	tails      chain
	heads      map[chat.Conversation]chat.Seq
	ids        map[chat.ID]said
	rules      *rules
	report     Report

	window  []expected // the messages of the blocks since the last comparison
	blocks  int        // and how many blocks they are
	tracked chat.Place // everything below was compared
	last    chat.Revision
}

// said is where a message stands.
type said struct {
	place chat.Place
	seq   chat.Seq
}

type expected struct {
	partition chat.Partition
	revision  chat.Revision
	place     chat.Place
	record    chat.Record
}

func (v *verifier) block(ctx context.Context, raw streams.RawEntry) error {
	block, err := v.tails.follow(v.base, raw)
	if err != nil {
		return err
	}
	if mark := v.marks[raw.Partition]; mark.Revision == raw.Revision && mark.Hash != block.Hash {
		return &Fault{
			Partition: raw.Partition, Revision: raw.Revision,
			What: "postgres's mark is at this revision, with another hash",
		}
	}
	v.report.Blocks++
	v.report.Bytes += int64(len(raw.Data))
	for i := range block.Records {
		if err := v.record(raw, i, &block.Records[i]); err != nil {
			return err
		}
	}
	if v.blocks++; v.blocks >= windowBlocks {
		return v.compare(ctx, chat.PlaceOf(v.base, raw.Revision+1, 0))
	}
	return nil
}

func (v *verifier) record(raw streams.RawEntry, index int, r *chat.Record) error {
	e := expected{raw.Partition, raw.Revision, chat.PlaceOf(v.base, raw.Revision, index), *r}
	switch r.Kind {
	case chat.MessageRecord:
		return v.message(e)
	case chat.ReadRecord:
		v.report.Reads++
		return v.read(&e)
	case chat.RecallRecord:
		v.report.Recalls++
		return v.recall(&e)
	case chat.GroupRecord:
		v.report.Changes++
		return v.change(&e)
	case chat.SettingRecord:
		v.report.Settings++
		return v.setting(&e)
	case chat.RefusalRecord, chat.RecallRefusalRecord:
		v.report.Refusals++
	}
	return nil
}

func (v *verifier) message(e expected) error {
	r := &e.record
	v.report.Messages++
	if r.Erased {
		v.report.Erased++
	}
	if want := v.heads[r.Conversation] + 1; r.Seq != want {
		return e.fault("the message has seq %d, want %d", r.Seq, want)
	}
	v.heads[r.Conversation] = r.Seq
	id := r.ID()
	if first, ok := v.ids[id]; ok {
		return e.fault("the message stands at place %d already", first.place)
	}
	v.ids[id] = said{e.place, r.Seq}
	if r.Conversation.Kind == chat.Group && !v.rules.group(r.Conversation).roster.Covers(r.Sender.User, e.place) {
		return e.fault("%s is no member of the group here", r.Sender.User)
	}
	v.window = append(v.window, e)
	return nil
}

func (e *expected) fault(format string, args ...any) error {
	return &Fault{
		Partition: e.partition, Revision: e.revision, Conversation: e.record.Conversation, Place: e.place,
		What: fmt.Sprintf(format, args...),
	}
}

// compare holds the window against the rows between what was compared before and end.
func (v *verifier) compare(ctx context.Context, end chat.Place) error {
	have, err := v.fetch(ctx, v.tracked, end)
	if err != nil {
		return err
	}
	rejected, err := v.rows.Rejected(ctx, v.tracked, end)
	if err != nil {
		return err
	}
	aside := make(map[chat.Place]bool, len(rejected))
	for _, r := range rejected {
		aside[r.Place] = true
		v.rules.aside(&r)
	}
	for i := range v.window {
		e := &v.window[i]
		row, ok := have[e.place]
		delete(have, e.place)
		switch {
		case ok:
			v.report.Rows++
			v.rules.claim(e.place, row.Recalled)
			what := differs(&e.record, &row.Record, row.Recalled != 0)
			if row.ID != e.record.ID() {
				what = "identity"
			}
			if what != "" {
				return e.fault("postgres has another %s", what)
			}
		case aside[e.place]:
			v.report.Rejected++
		case e.revision <= v.marks[e.partition].Revision:
			return e.fault("postgres does not have the message")
		}
	}
	for place, row := range have {
		return &Fault{
			Partition: row.Record.Conversation.Partition(v.partitions), Revision: place.Revision(v.base),
			Conversation: row.Record.Conversation, Place: place,
			What: "postgres has a message that the log does not",
		}
	}
	v.window, v.blocks, v.tracked = v.window[:0], 0, end
	return nil
}

func (v *verifier) fetch(ctx context.Context, lo, hi chat.Place) (map[chat.Place]store.Message, error) {
	const page = 5000
	have := make(map[chat.Place]store.Message)
	for {
		rows, err := v.rows.Messages(ctx, lo, hi, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			have[row.Place] = row
			lo = row.Place + 1
		}
		if len(rows) < page {
			return have, nil
		}
	}
}

// differs names the first field in which a row is not its record. A recalled message has no body in its row; one that was erased in the
// log may have.
func differs(want, got *chat.Record, recalled bool) string {
	switch {
	case want.Conversation != got.Conversation:
		return "conversation"
	case want.Seq != got.Seq:
		return "seq"
	case want.Sender != got.Sender:
		return "sender"
	case want.MessageID != got.MessageID:
		return "message id"
	case want.Digest != got.Digest:
		return "digest"
	case want.Asked != got.Asked:
		return "digest of what was asked for"
	case recalled && !got.Erased, got.Erased && !recalled && !want.Erased:
		return "body"
	case got.Erased:
		return ""
	case want.Erased: // in the log alone: the row has what the digest was taken of
		if chat.DigestOf(got.Body, got.Extra) != want.Digest {
			return "body"
		}
	case want.Body != got.Body:
		return "body"
	case want.Extra != got.Extra:
		return "extra"
	}
	if want.MessageTime != got.MessageTime {
		return "message time"
	}
	return ""
}

// marksAreInTheLog finds a database that is ahead of its log.
func (v *verifier) marksAreInTheLog() error {
	for p, mark := range v.marks {
		if tail := v.tails[p]; mark.Revision > v.last && mark.Revision > tail.Revision {
			return &Fault{Partition: p, Revision: mark.Revision, What: "postgres has this revision, and the log does not"}
		}
	}
	return nil
}
