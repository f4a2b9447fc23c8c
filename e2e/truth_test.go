package e2e

import (
	"context"
	"fmt"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// truth is what the log says, folded in the plainest way.
type truth struct {
	messages map[chat.Conversation][]*trueMessage // by seq, from 1
	reads    map[chat.ReadKey]trueRead
	stays    map[chat.ReadKey][][2]chat.Place // of a user in a group: joined, left (0: not yet)
	ids      map[chat.ID]chat.Place
	faults   []string

	recalls, changes int
}

type trueMessage struct {
	place    chat.Place
	record   chat.Record
	recalled chat.Place // 0: it stands
}

type trueRead struct {
	seq    chat.Seq
	place  chat.Place
	device chat.Device
}

// readTruth folds the whole log.
func readTruth(ctx context.Context, c *streams.Conn) (*truth, error) {
	x := &truth{
		messages: make(map[chat.Conversation][]*trueMessage), reads: make(map[chat.ReadKey]trueRead),
		stays: make(map[chat.ReadKey][][2]chat.Place), ids: make(map[chat.ID]chat.Place),
	}
	for p := range chat.Partition(c.Partitions()) {
		var prev chat.Mark
		_, err := c.ReadLog(ctx, p, 0, func(e streams.RawEntry) error {
			block, err := chat.DecodeBlockAfter(e.Data, prev.Hash)
			if err != nil {
				return fmt.Errorf("revision %d: %w", e.Revision, err)
			}
			if block.Prev != prev.Revision {
				return fmt.Errorf("revision %d follows %d, and %d is before it", e.Revision, block.Prev, prev.Revision)
			}
			prev = chat.Mark{Revision: e.Revision, Hash: block.Hash}
			for i := range block.Records {
				x.fold(chat.PlaceOf(c.Base(), e.Revision, i), &block.Records[i])
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", p, err)
		}
	}
	return x, nil
}

func (x *truth) fault(format string, args ...any) {
	x.faults = append(x.faults, "the log: "+fmt.Sprintf(format, args...))
}

func (x *truth) fold(at chat.Place, r *chat.Record) {
	of := x.messages[r.Conversation]
	switch r.Kind {
	case chat.MessageRecord:
		if int(r.Seq) != len(of)+1 {
			x.fault("%s has seq %d after %d", r.Conversation, r.Seq, len(of))
		}
		if first, twice := x.ids[r.ID()]; twice {
			x.fault("%s of %s stands at %d and at %d", r.MessageID, r.Conversation, first, at)
		}
		if !x.sees(r.Conversation, r.Sender.User, at) {
			x.fault("%s said %s in %s without being a member", r.Sender.User, r.MessageID, r.Conversation)
		}
		x.ids[r.ID()] = at
		x.messages[r.Conversation] = append(of, &trueMessage{place: at, record: *r})
	case chat.ReadRecord:
		key := chat.ReadKey{Conversation: r.Conversation, User: r.Sender.User}
		if r.Seq <= x.reads[key].seq || int(r.Seq) > len(of) {
			x.fault("%s's read position in %s is %d after %d, of %d messages", key.User, key.Conversation, r.Seq, x.reads[key].seq, len(of))
		}
		x.reads[key] = trueRead{r.Seq, at, r.Sender}
	case chat.RecallRecord:
		x.recalls++
		if r.Seq < 1 || int(r.Seq) > len(of) || of[r.Seq-1].recalled != 0 || of[r.Seq-1].place != r.Recall.Place {
			x.fault("the recall at %d is of no message that stands", at)
			return
		}
		of[r.Seq-1].recalled = at
	case chat.GroupRecord:
		x.changes++
		x.change(at, r)
	case chat.RefusalRecord, chat.RecallRefusalRecord, chat.SettingRecord: // nobody sets anything here
	}
}

func (x *truth) change(at chat.Place, r *chat.Record) {
	for _, u := range r.Change.Users {
		key := chat.ReadKey{Conversation: r.Conversation, User: u}
		stays := x.stays[key]
		switch r.Change.Kind { //nolint:exhaustive // the others move nobody
		case chat.GroupCreated, chat.MembersJoined:
			x.stays[key] = append(stays, [2]chat.Place{at, 0})
		case chat.MemberLeft, chat.MemberRemoved:
			if len(stays) == 0 || stays[len(stays)-1][1] != 0 {
				x.fault("%s left %s without being there", u, r.Conversation)
				continue
			}
			stays[len(stays)-1][1] = at
		}
	}
}

// sees reports whether what is at a place in a conversation is for a user to see.
func (x *truth) sees(c chat.Conversation, u chat.UserID, at chat.Place) bool {
	if c.Kind == chat.Pair {
		_, ok := c.Peer(u)
		return ok
	}
	return slices.ContainsFunc(x.stays[chat.ReadKey{Conversation: c, User: u}], func(s [2]chat.Place) bool {
		return s[0] < at && (s[1] == 0 || at < s[1])
	})
}

// compare holds what a device knows against the log. It returns the first few differences.
func (x *truth) compare(p *player) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var faults []string
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s: ", p.id)+fmt.Sprintf(format, args...))
	}
	for c, messages := range x.messages {
		for _, m := range messages {
			if len(faults) > 5 {
				return faults
			}
			e, seen := p.said[c][m.record.Seq], x.sees(c, p.id.User, m.place)
			switch {
			case !seen && e != nil && e.told:
				fault("%s#%d at %d is not for it to see", c, m.record.Seq, m.place)
			case !seen:
			case e == nil:
				fault("%s#%d at %d (%s) is missing", c, m.record.Seq, m.place, m.record.MessageID)
			case m.recalled == 0 && !e.told:
				fault("%s#%d has no content", c, m.record.Seq)
			case e.told && (e.id != m.record.MessageID || e.from != m.record.Sender.User):
				fault("%s#%d is %s of %s, and %s of %s in the log", c, m.record.Seq, e.id, e.from, m.record.MessageID, m.record.Sender.User)
			case m.recalled == 0 && e.recalled:
				fault("%s#%d is recalled, and it is not in the log", c, m.record.Seq)
			case m.recalled != 0 && !e.recalled && x.sees(c, p.id.User, m.recalled):
				fault("%s#%d was recalled at %d, and it does not know", c, m.record.Seq, m.recalled)
			}
		}
	}
	for c, known := range p.said {
		for seq := range known {
			if int(seq) > len(x.messages[c]) {
				fault("%s#%d is not in the log", c, seq)
			}
		}
	}
	for key, r := range x.reads {
		own := key.User == p.id.User && r.device != p.id
		peer := key.Conversation.Kind == chat.Pair && key.User != p.id.User && x.sees(key.Conversation, p.id.User, 0)
		if (own || peer) && x.sees(key.Conversation, p.id.User, r.place) && p.reads[key].seq != r.seq {
			fault("%s has read %s up to %d, and it knows of %d", key.User, key.Conversation, r.seq, p.reads[key].seq)
		}
	}
	return faults
}
