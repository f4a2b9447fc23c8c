package chat_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/whaleshark-im/whaleshark/chat"
)

// What the world of the property test asks for, what its Postgres knows, and what its log must keep to.

// request puts something into the ingress: from anybody, to anybody or in any group.
func (w *world) request(kind chat.RequestKind, t *rapid.T) *chat.Request {
	from := rapid.SampledFrom(propUsers).Draw(t, "from")
	c := chat.PairOf(1, from, rapid.SampledFrom(propUsers).Draw(t, "to"))
	if rapid.Bool().Draw(t, "group") {
		c = chat.GroupOf(1, rapid.SampledFrom(propGroups).Draw(t, "name"))
	}
	q := &chat.Request{
		Kind: kind, Conversation: c, Sender: chat.Device{App: 1, User: from, Client: chat.Web, IMEI: "x"}, Deadline: w.now.Add(time.Hour),
	}
	if rapid.Bool().Draw(t, "somebody waits") {
		q.Reply = fmt.Sprint(len(w.ingress))
	}
	w.ingress = append(w.ingress, q)
	return q
}

// send puts a message into the ingress. Only a first attempt says that it is one.
func (w *world) send(t *rapid.T) {
	q := w.request(chat.AskMessage, t)
	q.MessageID = fmt.Sprint("m", rapid.IntRange(0, 8).Draw(t, "id"))
	q.Body = rapid.SampledFrom([]string{"x", "x", "y"}).Draw(t, "body")
	q.MessageTime = int64(len(w.ingress))
	q.First = rapid.Bool().Draw(t, "first") && w.sent[q.ID()] == 0
	w.sent[q.ID()]++
}

// recall asks for a message of the log to be recalled, usually, and usually by its sender.
func (w *world) recall(t *rapid.T) {
	q := w.request(chat.AskRecall, t)
	q.MessageID = fmt.Sprint("r", len(w.ingress))
	q.Seq = chat.Seq(rapid.IntRange(-1, 4).Draw(t, "seq"))
	var all []placed
	w.walk(len(w.log), func(p placed) {
		if p.r.Kind == chat.MessageRecord {
			all = append(all, p)
		}
	})
	if len(all) > 0 && rapid.IntRange(0, 9).Draw(t, "which") > 0 {
		p := rapid.SampledFrom(all[max(0, len(all)-6):]).Draw(t, "message")
		q.Conversation, q.Seq = p.r.Conversation, p.r.Seq
		if q.Conversation.Kind == chat.Group && rapid.Bool().Draw(t, "his own") || q.Conversation.Kind == chat.Pair {
			q.Sender.User = p.r.Sender.User
		}
		if rapid.Bool().Draw(t, "by place") {
			q.Seq, q.Place = 0, p.place
		}
	}
	w.sent[q.ID()]++
}

func (w *world) decide(group string, c chat.Change) {
	w.decided[group].fold(chat.Place(len(w.outbox[group])+1), &c)
	w.outbox[group] = append(w.outbox[group], c)
}

func (w *world) relay(group string, i int) {
	w.ingress = append(w.ingress, &chat.Request{
		Kind: chat.AskChange, Conversation: chat.GroupOf(1, group), Deadline: w.now.Add(time.Hour), Change: &w.outbox[group][i],
	})
}

// relayed checks that all that was decided is in the log, once the outbox was sent in its order.
func (w *world) relayed() error {
	in := make(map[string]int64)
	w.walk(len(w.log), func(p placed) {
		if p.r.Kind == chat.GroupRecord {
			in[p.r.Conversation.A] = p.r.Change.Version
		}
	})
	for g, changes := range w.outbox {
		if in[g] != int64(len(changes)) {
			return fmt.Errorf("the log has %d of %d changes of %s", in[g], len(changes), g)
		}
	}
	return nil
}

// rightRepeat checks what an owner that has folded the whole log says of a message that was sent again.
func (w *world) rightRepeat(s *chat.Signal) error {
	recalled := false
	w.walk(len(w.log), func(p placed) {
		recalled = recalled || p.r.Kind == chat.RecallRecord && p.r.Recall.Place == s.Place || p.place == s.Place && p.r.Replaced()
	})
	if s.Recalled != recalled || recalled == (s.Body != "") {
		return fmt.Errorf("%s at %d was recalled or replaced: %t; its repeat says %t, %q", s.MessageID, s.Place, recalled, s.Recalled, s.Body)
	}
	return nil
}

// rightAnswers checks that the log holds what those hear who wait for it.
func (w *world) rightAnswers(heard []chat.Answer) error {
	for _, a := range heard {
		n, err := strconv.Atoi(a.Reply)
		if err != nil {
			return fmt.Errorf("%+v goes to somebody who does not wait", a)
		}
		q := w.ingress[n]
		right := q.Kind == chat.AskRead && (a.Code != chat.OK || a.Seq == 0) // one that moves nothing leaves nothing
		right = right || q.Kind == chat.AskSetting && a.Code != chat.OK
		w.walk(len(w.log), func(p placed) {
			r := p.r
			if r.Conversation != q.Conversation || r.Sender.User != q.Sender.User || r.MessageID != q.MessageID {
				return
			}
			switch r.Kind {
			case chat.MessageRecord:
				right = right || a.Code == chat.OK && a.Seq == r.Seq && a.Place == p.place
			case chat.RecallRecord:
				right = right || a.Code == chat.OK && a.Seq == r.Seq && a.Place == r.Recall.Place
			case chat.ReadRecord:
				right = right || a.Code == chat.OK && a.Seq == r.Seq && (a.Place == p.place || a.Place == 0)
			case chat.RefusalRecord, chat.RecallRefusalRecord:
				right = right || a.Code == r.Code
			case chat.SettingRecord:
				right = right || a.Code == chat.OK && a.Place == p.place && *r.Setting == *q.Setting
			case chat.GroupRecord:
			}
		})
		if !right {
			return fmt.Errorf("%+v is the answer to %+v, and the log does not say so", a, q)
		}
	}
	return nil
}

// placed is a record, its place, and the time of its block.
type placed struct {
	r     *chat.Record
	place chat.Place
	at    time.Time
}

func (w *world) walk(entries int, f func(placed)) {
	for i, e := range w.log[:entries] {
		k, _ := chat.DecodeBlock(e.data)
		for j := range k.Records {
			f(placed{&k.Records[j], chat.PlaceOf(0, revision(i), j), k.Time})
		}
	}
}

// asked returns the identity of what a record is the answer to; the zero one if nobody is told.
func asked(r *chat.Record) chat.ID {
	switch r.Kind {
	case chat.ReadRecord, chat.GroupRecord, chat.SettingRecord:
		return chat.ID{}
	case chat.MessageRecord, chat.RefusalRecord, chat.RecallRecord, chat.RecallRefusalRecord:
	}
	return chat.IDOf(r.Conversation, r.Sender.User, r.MessageID)
}

// lookUp is what Postgres answers, and the log for messages that it lacks.
func (w *world) lookUp(n chat.Needs) chat.Facts {
	f := chat.Facts{
		Apps:    map[chat.AppID]chat.App{1: appThat(w.before)},
		Users:   make(map[chat.UserKey]chat.User),
		Heads:   make(map[chat.Conversation]chat.Seq),
		IDs:     make(map[chat.ID]chat.Stored),
		Groups:  make(map[chat.Conversation]chat.GroupState),
		Reads:   make(map[chat.ReadKey]chat.Seq),
		Targets: make(map[chat.Target]chat.Targeted),
	}
	for _, u := range propUsers[:3] {
		f.Users[chat.UserKey{App: 1, User: u}] = chat.User{Forbidden: w.forbidden[u]}
	}
	recalled := make(map[chat.Place]bool)
	groups := make(map[chat.Conversation]*naive)
	w.walk(w.mark, func(p placed) {
		r := p.r
		switch r.Kind {
		case chat.MessageRecord:
			f.Heads[r.Conversation] = r.Seq
		case chat.ReadRecord:
			f.Reads[chat.ReadKey{Conversation: r.Conversation, User: r.Sender.User}] = r.Seq
		case chat.RecallRecord:
			recalled[r.Recall.Place] = true
		case chat.GroupRecord:
			if groups[r.Conversation] == nil {
				groups[r.Conversation] = &naive{}
			}
			groups[r.Conversation].fold(p.place, r.Change)
		case chat.RefusalRecord, chat.RecallRefusalRecord, chat.SettingRecord:
		}
	})
	w.lookUpMessages(n, recalled, &f)
	for c, g := range groups {
		f.Groups[c] = g.state(n.EndedBefore, w.tailOf(w.mark))
	}
	return f
}

func (w *world) tailOf(entries int) chat.Revision {
	if entries == 0 {
		return 0
	}
	return revision(entries - 1)
}

func (w *world) lookUpMessages(n chat.Needs, recalled map[chat.Place]bool, f *chat.Facts) {
	w.walk(len(w.log), func(p placed) {
		r := p.r
		if r.Kind != chat.MessageRecord {
			return
		}
		inPostgres := p.place.Revision(0) <= w.tailOf(w.mark)
		if inPostgres && slices.Contains(n.IDs, r.ID()) {
			f.IDs[r.ID()] = chat.Stored{
				Seq: r.Seq, Place: p.place, Digest: r.AskedFor(), Recalled: recalled[p.place], Replaced: r.Replaced(),
			}
		}
		for _, t := range n.Targets {
			if t.Conversation == r.Conversation && (t.Seq == r.Seq || t.Seq == 0 && t.Place == p.place) {
				f.Targets[t] = chat.Targeted{
					Sender: r.Sender.User, MessageID: r.MessageID, Seq: r.Seq, Place: p.place, Time: p.at, Recalled: recalled[p.place],
				}
			}
		}
	})
}

// audit is what a walk over the log has seen.
type audit struct {
	w        *world
	heads    map[chat.Conversation]chat.Seq
	newest   map[chat.Conversation]int64
	messages map[chat.ID]placed
	places   map[chat.Place]placed
	answers  map[chat.ID]int
	groups   map[chat.Conversation]*naive
	reads    map[chat.ReadKey]chat.Seq
	recalled map[chat.Place]bool
	set      int
}

// check holds the whole log against what was promised.
func (w *world) check() error {
	a := audit{
		w: w, heads: make(map[chat.Conversation]chat.Seq), newest: make(map[chat.Conversation]int64), messages: make(map[chat.ID]placed),
		places: make(map[chat.Place]placed), answers: make(map[chat.ID]int), groups: make(map[chat.Conversation]*naive),
		reads: make(map[chat.ReadKey]chat.Seq), recalled: make(map[chat.Place]bool),
	}
	var hash chat.Hash
	for i, e := range w.log {
		k, err := chat.DecodeBlockAfter(e.data, hash)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		hash = k.Hash
		for j := range k.Records {
			if err := a.record(placed{&k.Records[j], chat.PlaceOf(0, revision(i), j), k.Time}); err != nil {
				return fmt.Errorf("entry %d, record %d: %w", i, j, err)
			}
		}
	}
	return nil
}

func (a *audit) record(p placed) error {
	if id := asked(p.r); id != (chat.ID{}) {
		if a.answers[id]++; a.answers[id] > a.w.sent[id] {
			return fmt.Errorf("%s was asked for %d times and judged %d times", p.r.MessageID, a.w.sent[id], a.answers[id])
		}
	}
	if a.groups[p.r.Conversation] == nil {
		a.groups[p.r.Conversation] = &naive{}
	}
	switch p.r.Kind {
	case chat.MessageRecord:
		return a.message(p)
	case chat.ReadRecord:
		return a.read(p)
	case chat.RecallRecord:
		return a.recall(p)
	case chat.GroupRecord:
		g := a.groups[p.r.Conversation]
		if p.r.Change.Version != g.version+1 {
			return fmt.Errorf("%s has version %d after %d", p.r.Conversation, p.r.Change.Version, g.version)
		}
		g.fold(p.place, p.r.Change)
	case chat.SettingRecord:
		return a.setting(p)
	case chat.RefusalRecord, chat.RecallRefusalRecord:
	}
	return nil
}

func (a *audit) message(p placed) error {
	r := p.r
	if _, ok := a.messages[r.ID()]; ok {
		return fmt.Errorf("%s was placed twice", r.MessageID)
	}
	a.messages[r.ID()], a.places[p.place] = p, p
	if a.heads[r.Conversation]++; r.Seq != a.heads[r.Conversation] {
		return fmt.Errorf("%s has seq %d, want %d", r.Conversation, r.Seq, a.heads[r.Conversation])
	}
	if r.MessageTime <= a.newest[r.Conversation] {
		return fmt.Errorf("%s: request %d was placed after request %d", r.Conversation, r.MessageTime, a.newest[r.Conversation])
	}
	a.newest[r.Conversation] = r.MessageTime
	if q := a.w.ingress[r.MessageTime-1]; chat.DigestOf(q.Body, q.Extra) != r.AskedFor() || r.Replaced() != (r.Body == "z") {
		return fmt.Errorf("%+v was asked for, and %+v was placed", q, r)
	}
	if r.Conversation.Kind == chat.Pair {
		return nil
	}
	g := a.groups[r.Conversation]
	m := g.present(r.Sender.User)
	if m == nil || g.destroyed || g.muted && m.Role == chat.Ordinary || m.MutedUntil > p.at.UnixMilli() {
		return fmt.Errorf("%s has spoken in %s, which is %+v", r.Sender.User, r.Conversation, g)
	}
	return nil
}

func (a *audit) read(p placed) error {
	key := chat.ReadKey{Conversation: p.r.Conversation, User: p.r.Sender.User}
	if p.r.Read.From != a.reads[key] || p.r.Seq <= p.r.Read.From || p.r.Seq > a.heads[key.Conversation] {
		return fmt.Errorf("%s moved %d to %d, was at %d of %d", key.User, p.r.Read.From, p.r.Seq, a.reads[key], a.heads[key.Conversation])
	}
	a.reads[key] = p.r.Seq
	if g := a.groups[key.Conversation]; key.Conversation.Kind == chat.Group && g.present(key.User) == nil {
		return fmt.Errorf("%s reads in %s, which is %+v", key.User, key.Conversation, g)
	}
	return nil
}

func (a *audit) recall(p placed) error {
	r, t := p.r, a.places[p.r.Recall.Place]
	switch {
	case t.r == nil || t.r.Conversation != r.Conversation || t.r.Seq != r.Seq || t.r.ID() != r.ID():
		return fmt.Errorf("%s recalls %d at %d, which is not it: %+v", r.MessageID, r.Seq, r.Recall.Place, t.r)
	case a.recalled[t.place]:
		return fmt.Errorf("%s recalls %s once more", r.MessageID, t.r.MessageID)
	}
	a.recalled[t.place] = true
	if r.Conversation.Kind == chat.Group {
		m := a.groups[r.Conversation].present(r.Sender.User)
		if m == nil {
			return errors.New("somebody who is no member recalls")
		}
		if m.Role != chat.Ordinary {
			return nil
		}
	}
	if t.r.Sender.User != r.Sender.User || p.at.Sub(t.at) > 5*time.Second {
		return fmt.Errorf("%s recalls what %s has said %s before", r.Sender.User, t.r.Sender.User, p.at.Sub(t.at))
	}
	return nil
}

func (a *audit) setting(p placed) error {
	c, u := p.r.Conversation, p.r.Sender.User
	if a.set++; a.set > a.w.set {
		return fmt.Errorf("%d settings were asked for, and there are %d", a.w.set, a.set)
	}
	if *p.r.Setting == (chat.Setting{}) {
		return fmt.Errorf("%s has set nothing in %s", u, c)
	}
	_, his := c.Peer(u)
	if !his && !slices.ContainsFunc(a.groups[c].stays, func(m chat.Membership) bool { return m.User == u }) {
		return fmt.Errorf("%s has never been in %s", u, c)
	}
	return nil
}
