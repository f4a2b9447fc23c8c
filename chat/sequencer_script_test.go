package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/whaleshark-im/whaleshark/chat"
)

// script is a sequencer that a test talks to, line by line; see testdata/sequencer. Time stands still but for "wait".
type script struct {
	s        *chat.Sequencer
	now      time.Time
	position chat.Position
	revision chat.Revision
	flight   chat.Step
	asked    []chat.Needs
	askedAt  time.Time
	facts    chat.Facts
	log      []chat.Entry
	hooks    map[string]chat.HookKey // what the app was asked, by the message's id
	rosters  int
	members  int
}

func TestSequencerScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/sequencer", func(t *testing.T, path string) {
		t.Helper()
		x := &script{now: time.UnixMilli(1_700_000_000_000)}
		x.begin()
		x.facts = chat.Facts{
			Apps:      map[chat.AppID]chat.App{1: {ID: 1}, 2: {ID: 2, CheckFriend: true, CheckBlack: true}},
			Users:     make(map[chat.UserKey]chat.User),
			Relations: make(map[chat.RelationKey]chat.Relation),
			Heads:     make(map[chat.Conversation]chat.Seq),
			IDs:       make(map[chat.ID]chat.Stored),
			Groups:    make(map[chat.Conversation]chat.GroupState),
			Reads:     make(map[chat.ReadKey]chat.Seq),
			Targets:   make(map[chat.Target]chat.Targeted),
		}
		for _, app := range []chat.AppID{1, 2} {
			for _, u := range []chat.UserID{"alice", "bob", "carol"} {
				x.facts.Users[chat.UserKey{App: app, User: u}] = chat.User{}
			}
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			return x.run(t, d)
		})
	})
}

func (x *script) begin() {
	x.hooks = make(map[string]chat.HookKey)
	x.s = chat.NewSequencer(chat.SequencerConfig{Life: life, IDWindow: 2 * time.Second, RosterLimit: x.rosters, RosterMembers: x.members})
}

func (x *script) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "send":
		for line := range strings.Lines(d.Input) {
			x.send(t, strings.Fields(line))
		}
		return ""
	case "change", "read", "recall", "set":
		for line := range strings.Lines(d.Input) {
			x.ask(t, d.Cmd, strings.Fields(line))
		}
		return ""
	case "group", "position", "message", "stored", "nobody-can-tell":
		x.postgres(t, d)
		return ""
	case "step":
		return x.step()
	case "settle":
		return x.settle(t)
	case "answer":
		return x.answer()
	case "app", "hooks", "verdicts":
		return x.app(t, d)
	case "postgres-fails":
		for _, n := range x.asked {
			x.s.LookUpFailed(n)
		}
		x.asked = nil
		return ""
	case "committed":
		return x.commit(t)
	case "unsettled":
		x.s.Unsettled()
		x.flight = chat.Step{}
		return ""
	case "take-over":
		return x.takeOver(t)
	case "user":
		return x.user(t, d)
	case "heed-all":
		x.s.Heed(nil, x.now)
		return ""
	case "heed":
		var relation string
		d.ScanArgs(t, "relation", &relation)
		from, to, _ := strings.Cut(relation, "-")
		x.s.Heed(&chat.Event{App: 2, Stale: chat.Stale{Relations: [][2]chat.UserID{{chat.UserID(from), chat.UserID(to)}}}}, x.now)
		return ""
	case "friend":
		return x.friend(t, d)
	case "persisted":
		x.s.Persisted(x.revision, x.now)
		return ""
	case "limits":
		x.limits(t, d)
		return ""
	case "vouch":
		x.s.Vouch()
		return ""
	case "wait":
		var s string
		d.ScanArgs(t, "for", &s)
		by, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		x.now = x.now.Add(by)
		return ""
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return ""
}

// send reads "[app:]from to id body [first] [reply=SUBJECT]".
func (x *script) send(t *testing.T, f []string) {
	t.Helper()
	if len(f) < 4 {
		t.Fatalf("send needs from, to, id and body: %q", f)
	}
	app, from := chat.AppID(1), f[0]
	if a, u, ok := strings.Cut(f[0], ":"); ok {
		from = u
		if _, err := fmt.Sscan(a, &app); err != nil {
			t.Fatal(err)
		}
	}
	x.position++
	x.s.Offer(x.position, &chat.Request{
		Kind:         chat.AskMessage,
		Conversation: between(app, from, f[1]),
		Sender:       chat.Device{App: app, User: chat.UserID(from)},
		MessageID:    f[2], Body: f[3], First: len(f) > 4 && f[4] == "first",
		Deadline: x.now.Add(10 * time.Second),
		Reply:    options(f)["reply"],
	}, x.now)
}

func (x *script) step() string {
	var b strings.Builder
	st := x.s.Step(x.now)
	if n, ok := x.s.Needs(); ok {
		x.asked, x.askedAt = append(x.asked, n), x.now
		fmt.Fprintf(&b, "asks apps=%v users=%v relations=%v heads=%v ids=%d", n.Apps, n.Users, n.Relations, n.Heads, len(n.IDs))
		if len(n.Groups)+len(n.Reads)+len(n.Targets) > 0 {
			fmt.Fprintf(&b, " groups=%v reads=%v targets=%v", n.Groups, n.Reads, n.Targets)
		}
		b.WriteString("\n")
	}
	for _, r := range st.Repeats {
		fmt.Fprintf(&b, "again %s %s#%d at %d", r.MessageID, r.Conversation, r.Seq, r.Place)
		if r.Recalled {
			fmt.Fprintf(&b, ", recalled, %q", r.Body)
		}
		b.WriteString("\n")
	}
	if st.Expired > 0 {
		fmt.Fprintf(&b, "expired %d\n", st.Expired)
	}
	if st.Passed > 0 {
		fmt.Fprintf(&b, "passed over %d\n", st.Passed)
	}
	if st.Block != nil {
		x.flight = st
		cp := st.Block.Checkpoint
		fmt.Fprintf(&b, "block after %d, handled to %d %v\n", st.Block.Prev, cp.Low, cp.Above)
		for _, r := range st.Block.Records {
			b.WriteString("  " + describe(&r) + "\n")
		}
	}
	b.WriteString(x.answers())
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// settle answers, commits and steps until nothing is left to do, and tells of everything but the questions.
func (x *script) settle(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for {
		x.answer()
		_, heard, _ := strings.Cut(x.commit(t), "\n")
		b.WriteString(heard)
		out := x.step()
		if out == "nothing\n" {
			return b.String()
		}
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "asks ") {
				b.WriteString(line)
			}
		}
	}
}

func (x *script) answer() string {
	for _, n := range x.asked {
		x.s.Learn(n, x.facts, x.askedAt, x.now)
	}
	x.asked = nil
	return ""
}

func (x *script) commit(t *testing.T) string {
	t.Helper()
	if x.flight.Block == nil {
		return "nothing is in flight\n"
	}
	x.flight = chat.Step{}
	x.revision += 5
	e, err := x.s.Committed(x.revision, x.now)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	x.log = append(x.log, e)
	return fmt.Sprintf("revision %d\n", x.revision) + x.answers()
}

// answers tells what those hear who wait for it.
func (x *script) answers() string {
	var b strings.Builder
	for _, a := range x.s.Answers() {
		fmt.Fprintf(&b, "%s hears %s of %q: #%d at %d\n", a.Reply, a.Code, a.MessageID, a.Seq, a.Place)
	}
	return b.String()
}

// takeOver makes a new owner out of the log.
func (x *script) takeOver(t *testing.T) string {
	t.Helper()
	x.begin()
	for _, e := range x.log {
		if err := x.s.Fold(e, x.now); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("reads on after %d\n", x.s.From())
}

func (x *script) user(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var app chat.AppID
	var name string
	d.ScanArgs(t, "app", (*int32)(&app))
	d.ScanArgs(t, "name", &name)
	x.facts.Users[chat.UserKey{App: app, User: chat.UserID(name)}] = chat.User{Forbidden: d.HasArg("forbidden"), Silent: d.HasArg("silent")}
	return ""
}

func (x *script) friend(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var from, to string
	d.ScanArgs(t, "from", &from)
	d.ScanArgs(t, "to", &to)
	key := chat.RelationKey{App: 2, From: chat.UserID(from), To: chat.UserID(to)}
	x.facts.Relations[key] = chat.Relation{Deleted: d.HasArg("deleted"), Blocked: d.HasArg("blocked")}
	return ""
}

func describe(r *chat.Record) string {
	switch r.Kind {
	case chat.MessageRecord:
		return fmt.Sprintf("%s#%d %s %s %q", r.Conversation, r.Seq, r.Sender.User, r.MessageID, r.Body)
	case chat.RefusalRecord:
		return fmt.Sprintf("%s %s %s refused: %s", r.Conversation, r.Sender.User, r.MessageID, r.Code)
	case chat.ReadRecord:
		return fmt.Sprintf("%s %s on %s has read #%d to #%d, names %q", r.Conversation, r.Sender.User, r.Sender.IMEI, r.Read.From+1, r.Seq, r.Read.Named)
	case chat.RecallRecord:
		return fmt.Sprintf("%s %s %s recalls #%d at %d, %s %s",
			r.Conversation, r.Sender.User, r.MessageID, r.Seq, r.Recall.Place, r.Recall.Sender, r.Recall.MessageID)
	case chat.RecallRefusalRecord:
		return fmt.Sprintf("%s %s %s may not recall #%d at %d: %s", r.Conversation, r.Sender.User, r.MessageID, r.Seq, r.Recall.Place, r.Code)
	case chat.GroupRecord:
		return strings.TrimSpace(fmt.Sprintf("%s version %d, %d: %v %s", r.Conversation, r.Change.Version, r.Change.Kind, r.Change.Users, r.Change.Info))
	case chat.SettingRecord:
		return fmt.Sprintf("%s %s on %s sets mute %d, top %d, delete %t",
			r.Conversation, r.Sender.User, r.Sender.IMEI, r.Setting.Mute, r.Setting.Top, r.Setting.Delete)
	}
	return fmt.Sprintf("kind %d", r.Kind)
}
