package edge

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// resumeLimit is how many records a login is sent; who has missed more pulls them.
const resumeLimit = 1000

// resumed is what a login has missed.
type resumed struct {
	asked     bool
	records   int
	frames    []frame
	end       chat.Revision // it holds all records up to here
	cursor    chat.Place    // and so does the client then
	truncated bool          // it is too much, or nobody can tell: the client must pull
}

// missed returns what a login that resumes has missed. The session's route is written: what is committed after the log's end is pushed to it, and
// waits behind the answer. What is pushed of before is here as well.
func (c *conn) missed(ctx context.Context, l *login) resumed {
	if !l.resume || !c.session.speaks3() {
		return resumed{}
	}
	r := resumed{asked: true, cursor: l.cursor}
	err := c.edge.asking.do(ctx, func(h History) (err error) {
		if r.end, err = h.End(ctx); err != nil {
			return err
		}
		var items []chat.Item
		if items, r.truncated, err = h.Missed(ctx, l.device, l.cursor, r.end, resumeLimit); err != nil {
			return err
		}
		r.cursor, r.records = h.PlaceAfter(r.end), len(items)
		room := &budget{left: c.edge.cfg.QueueBytes}
		for i := range items {
			for _, f := range framesOf(&items[i], l.device.User) {
				if !room.take(f.size()) {
					r.truncated = true
					return nil
				}
				r.frames = append(r.frames, f)
			}
		}
		return nil
	})
	if err != nil { // the login stands: what is said from now on arrives
		c.edge.cfg.Log.WarnContext(ctx, "what a login has missed was not read", "device", l.device, "err", err)
		r.truncated = true
	}
	if r.truncated {
		r.frames, r.records, r.end = nil, 0, 0
	}
	return r
}

// framesOf returns the frames that a user's device would have got of a record.
func framesOf(item *chat.Item, user chat.UserID) []frame {
	r := &item.Record
	either := func(pair, group wire.Command) wire.Command { return wire.OfKind(r.Conversation.Kind, pair, group) }
	switch r.Kind {
	case chat.MessageRecord:
		placed := wire.PlacedOf(r, item.Place)
		return []frame{{command: either(wire.Send, wire.GroupSend), payload: wire.AppendPlaced(nil, &placed)}}
	case chat.RecallRecord:
		recalled := wire.RecalledOf(r, item.Place)
		return []frame{{command: wire.RecallNotify, payload: wire.AppendRecalled(nil, &recalled)}}
	case chat.ReadRecord:
		read := wire.ReadPositionOf(r, item.Place)
		command := either(wire.ReadReceipt, wire.GroupReadReceipt)
		if r.Sender.User == user {
			command = either(wire.ReadNotify, wire.GroupReadNotify)
		}
		return []frame{{command: command, payload: wire.AppendReadPosition(nil, &read)}}
	case chat.GroupRecord:
		var frames []frame
		for _, e := range wire.GroupEventsOf(r, item.Place) {
			frames = append(frames, frame{command: e.Command, payload: wire.AppendGroupEvent(nil, &e)})
		}
		return frames
	case chat.SettingRecord:
		var frames []frame
		for _, s := range wire.SettingsOf(r, item.Place) {
			frames = append(frames, frame{command: s.Command, payload: wire.AppendSetting(nil, &s)})
		}
		return frames
	default:
		return nil
	}
}

// tells reports whether a frame tells of a record that a login is told of anyway when it resumes. Answers to what the device itself has asked
// for are not among them, nor are the receipts of groups.
func (f frame) tells() bool {
	switch f.command {
	case wire.Send, wire.GroupSend, wire.RecallNotify, wire.ReadNotify, wire.ReadReceipt, wire.GroupReadNotify,
		wire.CreatedGroup, wire.UpdatedGroup, wire.AddedMember, wire.ExitGroup, wire.DeletedMember, wire.UpdatedMember, wire.SpeakMember,
		wire.MuteGroup, wire.DestroyGroup, wire.TransferGroup, wire.ConversationDelete, wire.ConversationUpdate:
		return true
	default:
		return false
	}
}

// resume puts a login's answer and what it has missed before what has waited, without the frames that tell of it again, now and later; it
// returns how many of them waited. The queue is bounded as if what was missed were not in it, until it is empty.
func (q *queue) resume(answer frame, r *resumed, start func()) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.held || q.end != nil {
		return 0
	}
	q.held, q.resumed = false, r.end
	waited := q.waiting
	q.waiting = nil
	if answer.command != 0 {
		q.push(answer)
	}
	for _, f := range r.frames {
		q.push(f)
		q.spareFrames++
		q.spareBytes += f.size()
	}
	for _, f := range waited {
		if q.knows(f) {
			q.pop(f)
			dropped++
		} else {
			q.waiting = append(q.waiting, f)
		}
	}
	if len(q.waiting) > 0 {
		q.wake(start)
	}
	return dropped
}
