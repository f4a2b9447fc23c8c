package sequence

import (
	"context"
	"errors"
	"fmt"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// find asks Postgres for what the rule needs, and the log for those messages to be recalled that Postgres has not yet. When the log cannot
// tell of some, everything else is answered all the same.
func (o *owner) find(ctx context.Context, a *answer) error {
	if len(a.asked.Targets) == 0 {
		var err error
		a.found, err = o.cfg.Database.LookUp(ctx, a.asked)
		return err
	}
	mark, err := o.cfg.Database.Mark(ctx, o.partition) // before the look-up: what the one lacks, the log has after the other
	if err != nil {
		return err
	}
	if a.found, err = o.cfg.Database.LookUp(ctx, a.asked); err != nil {
		return err
	}
	s := search{o: o, mark: mark.Revision, seqs: make(map[chat.Target]bool), found: a.found.Targets}
	if s.found == nil {
		s.found = make(map[chat.Target]chat.Targeted)
		a.found.Targets = s.found
	}
	if err := s.run(ctx, a.asked.Targets); err != nil {
		o.log.WarnContext(ctx, "the log was not searched for messages to be recalled", "cause", err)
		a.giveUp()
	}
	return nil
}

// giveUp takes the messages of which nobody could tell out of the question.
func (a *answer) giveUp() {
	var told []chat.Target
	for _, t := range a.asked.Targets {
		if _, ok := a.found.Targets[t]; ok {
			told = append(told, t)
		} else {
			a.unanswered = append(a.unanswered, t)
		}
	}
	a.asked.Targets = told
}

// search looks for messages in the log.
type search struct {
	o     *owner
	mark  chat.Revision // Postgres has everything up to here
	seqs  map[chat.Target]bool
	found map[chat.Target]chat.Targeted
}

var errAllFound = errors.New("all found")

func (s *search) run(ctx context.Context, targets []chat.Target) error {
	for _, t := range targets {
		if _, ok := s.found[t]; ok {
			continue
		}
		if t.Seq != 0 {
			s.seqs[t] = true
		} else if err := s.byPlace(ctx, t); err != nil {
			return err
		}
	}
	if len(s.seqs) == 0 {
		return nil
	}
	_, err := s.o.cfg.Conn.ReadLog(ctx, s.o.partition, s.mark, s.look)
	if errors.Is(err, errAllFound) {
		return nil
	}
	return err
}

// byPlace reads the one entry that can hold the message.
func (s *search) byPlace(ctx context.Context, t chat.Target) error {
	base := s.o.cfg.Conn.Base()
	if t.Place < chat.PlaceOf(base, 1, 0) {
		return nil // of an earlier log
	}
	e, ok, err := s.o.cfg.Conn.Entry(ctx, t.Place.Revision(base))
	if err != nil || !ok || e.Partition != s.o.partition {
		return err
	}
	block, err := chat.DecodeBlock(e.Data)
	if err != nil {
		return fmt.Errorf("revision %d: %w", e.Revision, err)
	}
	if i := t.Place.Index(); i < len(block.Records) && isMessage(&block.Records[i], t.Conversation) {
		s.found[t] = s.targeted(e.Revision, block, i)
	}
	return nil
}

// look looks through one entry for messages that are named by their seqs.
func (s *search) look(e streams.RawEntry) error {
	block, err := chat.DecodeBlock(e.Data)
	if err != nil {
		return fmt.Errorf("revision %d: %w", e.Revision, err)
	}
	for i := range block.Records {
		r := &block.Records[i]
		t := chat.Target{Conversation: r.Conversation, Seq: r.Seq}
		if s.seqs[t] && isMessage(r, t.Conversation) {
			s.found[t] = s.targeted(e.Revision, block, i)
			delete(s.seqs, t)
		}
	}
	if len(s.seqs) == 0 {
		return errAllFound
	}
	return nil
}

func isMessage(r *chat.Record, c chat.Conversation) bool {
	return r.Kind == chat.MessageRecord && r.Conversation == c
}

// targeted tells of a message; whether the log has recalled it since, the rule knows.
func (s *search) targeted(rev chat.Revision, block *chat.Block, i int) chat.Targeted {
	r := &block.Records[i]
	return chat.Targeted{
		Sender: r.Sender.User, MessageID: r.MessageID, Seq: r.Seq,
		Place: chat.PlaceOf(s.o.cfg.Conn.Base(), rev, i), Time: block.Time,
	}
}
