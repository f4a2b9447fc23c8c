package chat_test

import (
	"errors"
	"fmt"
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
	sent    map[chat.ID]int // how often each message, or each recall, was asked for
	set     int             // how many settings were asked for

	log  []entry
	late []entry // updates that nobody waits for any longer, and that may still arrive

	decided map[string]*naive        // what Postgres has decided of each group …
	outbox  map[string][]chat.Change // … change by change

	before    chat.BeforeSend // whether the app is asked
	mark      int             // how many entries Postgres has
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
	hooks  []chat.Hook // what the app was asked, and has not answered
}

const life = 7

var (
	propUsers  = []chat.UserID{"a", "b", "c", "ghost"}
	propGroups = []string{"g", "g", "h"}
)

func newWorld() *world {
	return &world{
		now:       time.UnixMilli(1_700_000_000_000),
		sent:      make(map[chat.ID]int),
		forbidden: make(map[chat.UserID]bool),
		decided:   map[string]*naive{"g": {}, "h": {}},
		outbox:    make(map[string][]chat.Change),
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
	o := &owner{s: chat.NewSequencer(chat.SequencerConfig{
		Life: life, IDWindow: 2 * time.Second, IDLimit: 4, HeadLimit: 2, ReadLimit: 2, RosterLimit: 1, BlockRecords: 4, RecallWindow: 5 * time.Second,
	})}
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

// outcome is what becomes of an update, and what its owner hears of it.
type outcome string

var outcomes = []outcome{"ok", "ok", "ok", "ok", "lost", "applied, unheard", "late"}

func (w *world) step(o *owner, how outcome) error {
	if o.asked == nil {
		if n, ok := o.s.Needs(); ok {
			o.asked, o.answer, o.at = &n, w.lookUp(n), w.now
		}
	}
	st := o.s.Step(w.now)
	o.hooks = append(o.hooks, o.s.Hooks(2)...)
	if err := w.rightAnswers(o.s.Answers()); err != nil || st.Block == nil {
		return err
	}
	e := entry{st.Block.Prev, st.Data}
	switch how {
	case "ok", "applied, unheard":
		rev, ok := w.update(e)
		if ok && how == "ok" {
			if _, err := o.s.Committed(rev, w.now); err != nil {
				return err
			}
			return w.rightAnswers(o.s.Answers())
		}
	case "late":
		w.late = append(w.late, e)
	}
	o.s.Unsettled()
	if err := w.reload(o); err != nil {
		return err
	}
	if heard := o.s.Answers(); len(heard) > 0 {
		return fmt.Errorf("of a block that nobody knows of somebody hears %v", heard)
	}
	return nil
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

var verdicts = []chat.HookVerdict{
	{Kind: chat.HookAllowed}, {Kind: chat.HookReplaced, Body: "z"}, {Kind: chat.HookVetoed}, {Kind: chat.HookFailed}, {Kind: chat.HookReplaced, Body: "\x00"},
}

// settle lets one healthy owner finish, and checks that every request was answered.
func (w *world) settle() error {
	w.down = false
	o, err := w.takeOver()
	if err != nil {
		return err
	}
	for g, changes := range w.outbox {
		for i := range changes {
			w.relay(g, i)
		}
	}
	repeats := make(map[chat.ID]bool)
	for range len(w.ingress) + 2 {
		w.readIngress(o, len(w.ingress))
		for {
			st := o.s.Step(w.now)
			for i := range st.Repeats {
				if err := w.rightRepeat(&st.Repeats[i]); err != nil {
					return err
				}
				repeats[chat.IDOf(st.Repeats[i].Conversation, st.Repeats[i].From.User, st.Repeats[i].MessageID)] = true
			}
			if err := w.rightAnswers(o.s.Answers()); err != nil {
				return err
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
			if err := w.rightAnswers(o.s.Answers()); err != nil {
				return err
			}
		}
		if n, ok := o.s.Needs(); ok {
			o.s.Learn(n, w.lookUp(n), w.now, w.now)
		}
		for i, h := range o.s.Hooks(len(w.ingress)) {
			o.s.HookAnswered(h.Key, verdicts[i%len(verdicts)])
		}
	}
	if o.s.Waiting() != 0 || int(o.s.Floor()) != len(w.ingress) {
		return fmt.Errorf("%d requests wait, the floor is %d of %d", o.s.Waiting(), o.s.Floor(), len(w.ingress))
	}
	judged := make(map[chat.ID]bool)
	for _, e := range w.log {
		k, _ := chat.DecodeBlock(e.data)
		for i := range k.Records {
			judged[asked(&k.Records[i])] = true
		}
	}
	for id := range w.sent {
		if !judged[id] && !repeats[id] {
			return fmt.Errorf("nobody answered %s", id)
		}
	}
	if err := w.relayed(); err != nil {
		return err
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
					w.send(t)
				}
			},
			"decide": func(t *rapid.T) {
				g := rapid.SampledFrom(propGroups).Draw(t, "group")
				if c := w.decided[g].next(t, propUsers[:3], w.now.UnixMilli()); !w.decided[g].destroyed {
					w.decide(g, c)
				}
			},
			"relay": func(t *rapid.T) {
				g := rapid.SampledFrom(propGroups).Draw(t, "group")
				if n := len(w.outbox[g]); n > 0 {
					for i := rapid.IntRange(0, n-1).Draw(t, "from"); i < n; i++ {
						w.relay(g, i)
					}
				}
			},
			"mark read": func(t *rapid.T) {
				for range rapid.IntRange(1, 3).Draw(t, "n") {
					w.request(chat.AskRead, t).Seq = chat.Seq(rapid.IntRange(-1, 6).Draw(t, "seq"))
				}
			},
			"recall": func(t *rapid.T) { w.recall(t) },
			"set": func(t *rapid.T) {
				w.request(chat.AskSetting, t).Setting = &chat.Setting{
					Mute: chat.Switch(rapid.IntRange(0, 2).Draw(t, "mute")), Delete: rapid.Bool().Draw(t, "delete"),
				}
				w.set++
			},
			"step": func(t *rapid.T) {
				fatal(w.step(pick(t), rapid.SampledFrom(outcomes).Draw(t, "outcome")))
			},
			"work": func(t *rapid.T) { // what an owner does when nothing goes wrong
				o := pick(t)
				w.readIngress(o, rapid.IntRange(1, 8).Draw(t, "n"))
				for range 3 {
					fatal(w.step(o, "ok"))
					w.answer(o)
				}
			},
			"the app": func(t *rapid.T) {
				w.before = rapid.SampledFrom([]chat.BeforeSend{0, chat.FailOpen, chat.FailClosed}).Draw(t, "is asked")
			},
			"verdict": func(t *rapid.T) {
				if o := pick(t); len(o.hooks) > 0 {
					i := rapid.IntRange(0, len(o.hooks)-1).Draw(t, "which")
					o.s.HookAnswered(o.hooks[i].Key, rapid.SampledFrom(verdicts).Draw(t, "verdict"))
					o.hooks = slices.Delete(o.hooks, i, i+1)
				}
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
