package chat_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whaleshark-im/whaleshark/chat"
)

// world is everything around the sequencers, reduced to what the rule can see of it: an ingress, a log with compare-and-set and with
// updates that arrive late, a Postgres that follows the log, and owners that come and go, several at once.
type world struct {
	now     time.Time
	ingress []*chat.Request // position = index + 1
	sent    map[chat.ID]int // how often each message was asked for

	log  []entry
	late []entry // updates that nobody waits for any longer, and that may still arrive

	mark      int // how many entries Postgres has
	down      bool
	forbidden map[chat.UserID]bool

	owners []*owner
}

type entry struct {
	prev chat.Revision
	data []byte
}

type owner struct {
	s      *chat.Sequencer
	read   int         // how much of the ingress it has read
	asked  *chat.Needs // a look-up under way …
	answer chat.Facts  // … and what Postgres said when it looked
	at     time.Time   // … when it was asked
}

const life = 7

var propUsers = []chat.UserID{"a", "b", "c", "ghost"}

func newWorld() *world {
	return &world{
		now:       time.UnixMilli(1_700_000_000_000),
		sent:      make(map[chat.ID]int),
		forbidden: make(map[chat.UserID]bool),
	}
}

// revision of the i-th entry: revisions of a partition have gaps, because other partitions share the sequence.
func revision(i int) chat.Revision { return chat.Revision(3 * (i + 1)) }

func (w *world) tail() chat.Revision {
	if len(w.log) == 0 {
		return 0
	}
	return revision(len(w.log) - 1)
}

// update is the broker's compare-and-set.
func (w *world) update(e entry) (chat.Revision, bool) {
	if e.prev != w.tail() {
		return 0, false
	}
	w.log = append(w.log, e)
	return w.tail(), true
}

// takeOver makes a new owner, as a worker does: Postgres's mark, then the log after it.
func (w *world) takeOver() (*owner, error) {
	o := &owner{s: chat.NewSequencer(chat.SequencerConfig{Life: life, IDWindow: 2 * time.Second, IDLimit: 4, HeadLimit: 2, BlockRecords: 3})}
	var hash chat.Hash
	for i := max(0, w.mark-1); i < len(w.log); i++ {
		var k *chat.Block
		var err error
		if i == w.mark-1 {
			k, err = chat.DecodeBlock(w.log[i].data)
		} else {
			k, err = chat.DecodeBlockAfter(w.log[i].data, hash)
		}
		if err != nil {
			return nil, err
		}
		hash = k.Hash
		if i == w.mark-1 {
			o.s.Anchor(chat.Entry{Revision: revision(i), Block: k})
		} else if err := o.s.Fold(chat.Entry{Revision: revision(i), Block: k}, w.now); err != nil {
			return nil, err
		}
	}
	o.read = int(o.s.From())
	return o, nil
}

// reload folds what the log has after the owner's tail.
func (w *world) reload(o *owner) error {
	for i := range w.log {
		tail := o.s.Tail()
		if revision(i) <= tail.Revision {
			continue
		}
		k, err := chat.DecodeBlockAfter(w.log[i].data, tail.Hash)
		if err != nil {
			return err
		}
		if err := o.s.Fold(chat.Entry{Revision: revision(i), Block: k}, w.now); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) lookUp(n chat.Needs) chat.Facts {
	f := chat.Facts{
		Apps:  map[chat.AppID]chat.App{1: {ID: 1}},
		Users: make(map[chat.UserKey]chat.User),
		Heads: make(map[chat.Conversation]chat.Seq),
		IDs:   make(map[chat.ID]chat.Stored),
	}
	for _, u := range propUsers[:3] {
		f.Users[chat.UserKey{App: 1, User: u}] = chat.User{Forbidden: w.forbidden[u]}
	}
	for i, e := range w.log[:w.mark] {
		k, _ := chat.DecodeBlock(e.data)
		for j := range k.Records {
			if r := &k.Records[j]; r.Kind == chat.MessageRecord {
				f.Heads[r.Conversation] = r.Seq
				f.IDs[r.ID()] = chat.Stored{Seq: r.Seq, Place: chat.PlaceOf(0, revision(i), j), Digest: r.Digest}
			}
		}
	}
	wanted := maps.Clone(f.IDs)
	maps.DeleteFunc(wanted, func(id chat.ID, _ chat.Stored) bool { return !slices.Contains(n.IDs, id) })
	f.IDs = wanted
	return f
}

// outcome is what becomes of an update, and what its owner hears of it.
type outcome string

var outcomes = []outcome{"ok", "ok", "ok", "ok", "lost", "applied, unheard", "late"}

func (w *world) step(o *owner, how outcome) error {
	if n, ok := o.s.Needs(); ok && o.asked == nil {
		o.asked, o.answer, o.at = &n, w.lookUp(n), w.now
	}
	st := o.s.Step(w.now)
	if st.Block == nil {
		return nil
	}
	e := entry{st.Block.Prev, st.Data}
	switch how {
	case "ok", "applied, unheard":
		rev, ok := w.update(e)
		if ok && how == "ok" {
			_, err := o.s.Committed(rev, w.now)
			return err
		}
	case "late":
		w.late = append(w.late, e)
	}
	o.s.Unsettled()
	return w.reload(o)
}

func (w *world) readIngress(o *owner, n int) {
	for ; n > 0 && o.read < len(w.ingress); n-- {
		o.read++
		o.s.Offer(chat.Position(o.read), w.ingress[o.read-1], w.now)
	}
}

func (w *world) answer(o *owner) {
	if o.asked == nil {
		return
	}
	if w.down {
		o.s.LookUpFailed(*o.asked)
	} else {
		o.s.Learn(*o.asked, o.answer, o.at, w.now)
	}
	o.asked = nil
}

// check holds the whole log against what was promised.
func (w *world) check() error {
	heads := make(map[chat.Conversation]chat.Seq)
	newest := make(map[chat.Conversation]int64)
	messages := make(map[chat.ID]int)
	answers := make(map[chat.ID]int)
	var hash chat.Hash
	for i, e := range w.log {
		k, err := chat.DecodeBlockAfter(e.data, hash)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		hash = k.Hash
		for j := range k.Records {
			r := &k.Records[j]
			if answers[r.ID()]++; answers[r.ID()] > w.sent[r.ID()] {
				return fmt.Errorf("%s was asked for %d times and judged %d times", r.MessageID, w.sent[r.ID()], answers[r.ID()])
			}
			if r.Kind != chat.MessageRecord {
				continue
			}
			if messages[r.ID()]++; messages[r.ID()] > 1 {
				return fmt.Errorf("%s was placed twice", r.MessageID)
			}
			if heads[r.Conversation]++; r.Seq != heads[r.Conversation] {
				return fmt.Errorf("%s has seq %d, want %d", r.Conversation, r.Seq, heads[r.Conversation])
			}
			if r.MessageTime <= newest[r.Conversation] {
				return fmt.Errorf("%s: request %d was placed after request %d", r.Conversation, r.MessageTime, newest[r.Conversation])
			}
			newest[r.Conversation] = r.MessageTime
		}
	}
	return nil
}

// settle lets one healthy owner finish, and checks that every request was answered.
func (w *world) settle() error {
	w.down = false
	o, err := w.takeOver()
	if err != nil {
		return err
	}
	repeats := make(map[chat.ID]bool)
	for range len(w.ingress) + 2 {
		w.readIngress(o, len(w.ingress))
		for {
			st := o.s.Step(w.now)
			for i := range st.Repeats {
				repeats[chat.IDOf(st.Repeats[i].Conversation, st.Repeats[i].From.User, st.Repeats[i].MessageID)] = true
			}
			if st.Block == nil {
				break
			}
			rev, ok := w.update(entry{st.Block.Prev, st.Data})
			if !ok {
				return errors.New("a lone owner was refused")
			}
			if _, err := o.s.Committed(rev, w.now); err != nil {
				return err
			}
		}
		if n, ok := o.s.Needs(); ok {
			o.s.Learn(n, w.lookUp(n), w.now, w.now)
		}
	}
	if o.s.Waiting() != 0 || int(o.s.Floor()) != len(w.ingress) {
		return fmt.Errorf("%d requests wait, the floor is %d of %d", o.s.Waiting(), o.s.Floor(), len(w.ingress))
	}
	judged := make(map[chat.ID]bool)
	for _, e := range w.log {
		k, _ := chat.DecodeBlock(e.data)
		for i := range k.Records {
			judged[k.Records[i].ID()] = true
		}
	}
	for id := range w.sent {
		if !judged[id] && !repeats[id] {
			return fmt.Errorf("nobody answered %s", id)
		}
	}
	return w.check()
}

// TestSequencerKeepsItsPromises lets owners race, crash, hear nothing, and be overtaken by their own late updates.
func TestSequencerKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		fatal := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		pick := func(t *rapid.T) *owner {
			if len(w.owners) == 0 {
				o, err := w.takeOver()
				fatal(err)
				w.owners = append(w.owners, o)
			}
			return rapid.SampledFrom(w.owners).Draw(t, "owner")
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { fatal(w.check()) },
			"send": func(t *rapid.T) {
				for range rapid.IntRange(1, 4).Draw(t, "n") {
					w.send(
						rapid.SampledFrom(propUsers).Draw(t, "from"), rapid.SampledFrom(propUsers).Draw(t, "to"),
						fmt.Sprint("m", rapid.IntRange(0, 8).Draw(t, "id")), rapid.SampledFrom([]string{"x", "x", "y"}).Draw(t, "body"),
						rapid.Bool().Draw(t, "first"))
				}
			},
			"step": func(t *rapid.T) {
				fatal(w.step(pick(t), rapid.SampledFrom(outcomes).Draw(t, "outcome")))
			},
			"read":   func(t *rapid.T) { w.readIngress(pick(t), rapid.IntRange(1, 5).Draw(t, "n")) },
			"answer": func(t *rapid.T) { w.answer(pick(t)) },
			"start": func(*rapid.T) {
				if len(w.owners) < 3 {
					o, err := w.takeOver()
					fatal(err)
					w.owners = append(w.owners, o)
				}
			},
			"crash": func(t *rapid.T) {
				if n := len(w.owners); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(t, "which")
					w.owners = slices.Delete(w.owners, i, i+1)
				}
			},
			"arrive late": func(t *rapid.T) {
				if n := len(w.late); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(t, "which")
					w.update(w.late[i])
					w.late = slices.Delete(w.late, i, i+1)
				}
			},
			"persist": func(t *rapid.T) {
				w.mark = rapid.IntRange(w.mark, len(w.log)).Draw(t, "mark")
				if w.mark > 0 {
					pick(t).s.Persisted(revision(w.mark-1), w.now)
				}
			},
			"wait": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "ms")) * time.Millisecond)
			},
			"postgres":        func(*rapid.T) { w.down = !w.down },
			"forbid or allow": func(*rapid.T) { w.forbidden["b"] = !w.forbidden["b"] },
		})
		fatal(w.settle())
	})
}

// send puts a request into the ingress. Only a first attempt says that it is one.
func (w *world) send(from, to chat.UserID, id, body string, first bool) {
	q := &chat.Request{
		Kind:         chat.AskMessage,
		Conversation: chat.PairOf(1, from, to),
		Sender:       chat.Device{App: 1, User: from, Client: chat.Web, IMEI: "x"},
		MessageID:    id,
		Body:         body,
		MessageTime:  int64(len(w.ingress) + 1),
		Deadline:     w.now.Add(time.Hour),
	}
	q.First = first && w.sent[q.ID()] == 0
	w.ingress = append(w.ingress, q)
	w.sent[q.ID()]++
}
