package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

var (
	modelTime = flag.Duration("model.time", time.Minute, "how long the model of the whole house plays")
	modelSeed = flag.Uint64("model.seed", 0, "what it plays; 0: something new")
)

const (
	modelApp   = chat.AppID(10001)
	modelUsers = 12

	// What a minute must make at least, or it proves little.
	wantMessages = 5000
	wantCuts     = 100 // kills and disconnections
	wantRecalls  = 200
	wantChanges  = 300
)

// model is the whole house at play: random users with one to four devices on three edges, three workers of each role, and everything that
// may happen to them. At the end what each device knows must be what the log says, and so must Postgres.
type model struct {
	h      *house
	rng    *rand.Rand // owned by the loop of the test
	users  []chat.UserID
	groups []string
	play   []*player

	patience time.Duration // how long what is not as it must be may take to become so

	here []*process // edges and workers that run, by slot
	argv [][]string // how to start the one in a slot
	runs int

	mu                                                       sync.Mutex
	messages, repeats, reads, recalls, changes, cuts, killed int
}

func (m *model) count(n *int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*n++
}

// edges returns the edges that take clients.
func (m *model) edges() []streams.Member { return m.h.addresses("tcp") }

// TestModel plays for a minute, or for as long as -model.time says. What it decides follows from its seed; when it happens does not.
func TestModel(t *testing.T) {
	m := newModel(t, *modelSeed)
	faults := m.run(t.Context(), *modelTime)
	for _, f := range faults[:min(len(faults), 20)] {
		t.Error(f)
	}
	scale := min(1, modelTime.Minutes())
	for what, n := range map[string][2]int{
		"messages":                 {m.messages, wantMessages},
		"kills and disconnections": {m.killed + m.cuts, wantCuts},
		"recalls":                  {m.recalls, wantRecalls},
		"changes of groups":        {m.changes, wantChanges},
	} {
		if want := int(float64(n[1]) * scale); n[0] < want {
			t.Errorf("%d %s were made, want at least %d: the model did not play enough", n[0], what, want)
		}
	}
}

// TestPlantedFaultsAreCaught builds the program with a fault each time, and looks whether the model finds it.
func TestPlantedFaultsAreCaught(t *testing.T) {
	sound := binary
	defer func() { binary = sound }()
	binary = filepath.Join(t.TempDir(), "planted")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "planted", "-o", binary, "../cmd/whaleshark")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(binary)), 0o711); err != nil { // the database's user passes through
		t.Fatal(err)
	}
	for fault, what := range map[string]string{
		"revision": "blocks are appended without looking what is the newest",
		"ids":      "it is not looked whether a message is known",
		"push":     "every fiftieth push with a message is dropped",
	} {
		t.Run(fault, func(t *testing.T) {
			m := newModel(t, *modelSeed, "WHALESHARK_PLANT="+fault)
			m.patience = 2 * time.Second
			faults := m.run(t.Context(), 14*time.Second)
			if len(faults) == 0 {
				t.Fatalf("%s, and the model did not notice", what)
			}
			t.Logf("%s: %d faults were found, the first: %s", what, len(faults), faults[0])
		})
	}
}

func newModel(t *testing.T, seed uint64, env ...string) *model {
	t.Helper()
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-model.seed %d", seed)
	m := &model{
		h: open(t, streams.Layout{}, env...), patience: 20 * time.Second,
		rng: rand.New(rand.NewPCG(seed, 0)),
	}
	ctx := t.Context()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	must(m.h.store.SeedPairs(ctx, modelApp, modelUsers, nil))
	app, err := m.h.store.App(ctx, modelApp)
	must(err)
	app.CheckFriend = false
	must(m.h.store.SetApp(ctx, app))
	for i := range modelUsers {
		m.users = append(m.users, chat.UserID(fmt.Sprint("u", i+1)))
	}
	for i := range 3 {
		// The first three own one each, and stay; everybody else comes and goes.
		id := fmt.Sprint("g", i+1)
		_, err := m.h.store.CreateGroup(ctx, store.NewGroup{
			App: modelApp, ID: id, Owner: m.users[i], Name: id, Type: store.PublicGroup, Members: m.users[:8],
		})
		must(err)
		m.groups = append(m.groups, id)
	}
	n := 0
	for _, u := range m.users {
		for range 1 + m.rng.IntN(4) {
			n++
			p := newPlayer(m, u, n, seed)
			for _, o := range m.users {
				if o != u {
					p.peers = append(p.peers, o)
				}
			}
			m.play = append(m.play, p)
		}
	}
	for range 3 {
		m.argv = append(m.argv,
			[]string{"edge", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--auth", "optional", "--burst", "10000"},
			[]string{"worker", "sequence"}, []string{"worker", "fanout"}, []string{"worker", "persist"})
	}
	m.here = make([]*process, len(m.argv))
	for slot := range m.argv {
		m.start(slot)
	}
	for _, r := range []streams.Role{streams.RoleEdge, streams.RoleSequence, streams.RoleFanout, streams.RolePersist} {
		m.h.ready(r, 3)
	}
	return m
}

func (m *model) start(slot int) {
	m.runs++
	argv := m.argv[slot]
	m.here[slot] = m.h.start(fmt.Sprint(strings.TrimPrefix(argv[0]+"."+argv[1], "edge.--tcp"), ".", m.runs), argv...)
}

// enough reports whether a minute's play, or this part of one, has made what it should. A change of a group is counted at the end.
func (m *model) enough(minutes float64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := func(n int) int { return int(float64(n) * min(1, minutes)) }
	return m.messages >= of(wantMessages) && m.killed+m.cuts >= of(wantCuts) && m.recalls >= of(wantRecalls)
}

// run plays for a time, on a slow machine for up to twice as long until it has made enough, lets everything come to rest, and returns what
// is not as it must be.
func (m *model) run(ctx context.Context, d time.Duration) []string {
	until, stop := context.WithTimeout(ctx, 2*d)
	defer stop()
	finish, cancel := context.WithTimeout(ctx, 2*d+2*m.patience) // for what was begun
	defer cancel()
	time.AfterFunc(d, func() {
		for !m.enough(d.Minutes()) && until.Err() == nil {
			pause(until, 100*time.Millisecond)
		}
		stop()
	})
	var wg sync.WaitGroup
	for _, p := range m.play {
		wg.Go(func() { p.play(finish, until) })
	}
	wg.Go(func() { m.changeGroups(until, rand.New(rand.NewPCG(m.rng.Uint64(), 1))) })
	m.disturb(until)
	for slot, p := range m.here {
		if p == nil {
			m.start(slot)
		}
	}
	wg.Wait()
	faults := m.check(ctx)
	m.h.t.Logf("%d devices of %d users: %d messages, %d repeats, %d reads, %d recalls, %d changes of groups, %d disconnections, %d kills",
		len(m.play), len(m.users), m.messages, m.repeats, m.reads, m.recalls, m.changes, m.cuts, m.killed)
	return faults
}

// disturb kills what runs, and starts it again. Every third time it stops a sequencer for a while instead, which is replaced meanwhile and
// does not know it when it goes on.
func (m *model) disturb(until context.Context) {
	pause(until, time.Second)
	for i := 0; until.Err() == nil; i++ {
		if i%3 == 0 {
			p := m.here[sequencerSlot+4*(i/3%3)] // each in its turn, so that partitions are stopped whoever owns them
			_ = p.cmd.Process.Signal(syscall.SIGSTOP)
			time.AfterFunc(3500*time.Millisecond, func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) })
		} else {
			m.kill(until, m.rng.IntN(len(m.here)))
		}
		pause(until, time.Duration(700+m.rng.IntN(900))*time.Millisecond)
	}
}

// sequencerSlot is the first sequencer's; there are four roles.
const sequencerSlot = 1

func (m *model) kill(until context.Context, slot int) {
	p := m.here[slot]
	m.here[slot] = nil
	p.kill()
	m.count(&m.killed)
	pause(until, time.Duration(m.rng.IntN(400))*time.Millisecond)
	m.start(slot)
}

// changeGroups lets members come and go, and gives them roles and mutes.
func (m *model) changeGroups(until context.Context, rng *rand.Rand) {
	for ; until.Err() == nil; pause(until, time.Duration(rng.IntN(100))*time.Millisecond) {
		i := rng.IntN(len(m.groups))
		group, owner := chat.GroupOf(modelApp, m.groups[i]), m.users[i]
		user := m.users[len(m.groups)+rng.IntN(len(m.users)-len(m.groups))]
		var err error
		switch rng.IntN(8) {
		case 0, 1, 2:
			_, err = m.h.store.AddMembers(until, group, owner, []chat.UserID{user})
		case 3, 4:
			err = m.h.store.RemoveMember(until, group, owner, user)
		case 5:
			err = m.h.store.LeaveGroup(until, group, user)
		case 6:
			err = m.h.store.SetRole(until, group, owner, user, chat.MemberRole(rng.IntN(2)))
		case 7:
			err = m.h.store.MuteMember(until, group, owner, user, time.Now().Add(time.Duration(rng.IntN(3)-1)*time.Second))
		}
		if _, refused := errors.AsType[chat.Error](err); err != nil && !refused && until.Err() == nil {
			m.h.t.Errorf("change %s: %v", group, err)
		}
	}
}

// check lets everything come to rest, and holds all that is known anywhere against the log.
func (m *model) check(ctx context.Context) []string {
	var faults []string
	for _, p := range m.play {
		faults = append(faults, p.faults...)
	}
	var x *truth
	faults = append(faults, m.try(2*m.patience, func() []string { // until Postgres has all of it, its outbox included
		var err error
		if x, err = readTruth(ctx, m.h.conn); err != nil {
			return []string{"the log: " + err.Error()}
		}
		marks, err := m.h.store.Marks(ctx)
		if err != nil {
			return []string{err.Error()}
		}
		for q := range chat.Partition(m.h.conn.Partitions()) {
			tail, err := m.h.conn.Tail(ctx, q)
			if err != nil || marks[q].Revision < tail {
				return []string{fmt.Sprintf("postgres has partition %d up to %d of %d: %v", q, marks[q].Revision, tail, err)}
			}
		}
		if waiting, err := m.h.store.Outgoing(ctx, 0, 1); err != nil || len(waiting) > 0 {
			return []string{fmt.Sprintf("changes are still in the outbox: %v %v", waiting, err)}
		}
		return nil
	})...)
	if x == nil {
		return faults
	}
	faults = append(faults, x.faults...)
	m.changes = x.changes // those that Postgres has decided and the log has
	for _, p := range m.play {
		if len(faults) > 20 {
			return faults
		}
		if faults = append(faults, m.checkPlayer(ctx, x, p)...); len(faults) > 0 {
			m.patience = time.Second // it has failed already
		}
	}
	if out, err := m.h.try("audit", "verify"); err != nil {
		faults = append(faults, "audit verify: "+out)
	}
	return faults
}

// try repeats a check until it finds nothing, or time is up.
func (m *model) try(patience time.Duration, check func() []string) []string {
	for deadline := time.Now().Add(patience); ; pause(m.h.t.Context(), 50*time.Millisecond) {
		if faults := check(); len(faults) == 0 || time.Now().After(deadline) {
			return faults
		}
	}
}

// checkPlayer lets a device come back once more. What it was told since its first login must be the log; so must what it asks for now.
func (m *model) checkPlayer(ctx context.Context, x *truth, p *player) []string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := p.online(ctx)
	if err != nil {
		return []string{fmt.Sprintf("%s cannot connect: %v", p.id, err)}
	}
	defer func() { _ = c.Close() }()
	faults := m.try(m.patience, func() []string { return x.compare(p) })
	for _, a := range p.mine {
		if at := x.messages[a.conversation]; int(a.seq) > len(at) || at[a.seq-1].record.MessageID != a.id {
			faults = append(faults, fmt.Sprintf("%s was acknowledged as %s#%d, and is not there", a.id, a.conversation, a.seq))
		}
	}
	fresh := newPlayer(m, p.id.User, 1000, 0)
	if err := fresh.catchUp(ctx, c, 0); err != nil {
		return append(faults, fmt.Sprintf("%s cannot ask for everything: %v", p.id, err))
	}
	for _, f := range x.compare(fresh) {
		faults = append(faults, "asked for everything, "+f)
	}
	return append(faults, m.checkPull(ctx, x, p)...)
}

// checkPull asks as the original's clients do: for the messages of all conversations, page by page.
func (m *model) checkPull(ctx context.Context, x *truth, p *player) []string {
	c, err := p.online(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	want := 0
	for conversation, messages := range x.messages {
		for _, msg := range messages {
			if x.sees(conversation, p.id.User, msg.place) {
				want++
			}
		}
	}
	got, last := 0, chat.Place(0)
	for {
		page, err := c.Pull(ctx, wire.PullSince{Last: last, Limit: 100})
		if err != nil {
			return []string{fmt.Sprintf("%s cannot pull: %v", p.id, err)}
		}
		for _, msg := range page.Messages {
			if msg.Place <= last {
				return []string{fmt.Sprintf("%s pulled %d after %d", p.id, msg.Place, last)}
			}
			last = msg.Place
			got++
		}
		if page.Completed {
			break
		}
	}
	if want = min(want, 1000); got != want {
		return []string{fmt.Sprintf("%s pulled %d messages, want %d", p.id, got, want)}
	}
	return nil
}
