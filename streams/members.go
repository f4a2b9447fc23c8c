package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Role is what a node does.
type Role string

// The roles.
const (
	RoleEdge     Role = "edge"
	RoleSequence Role = "sequence"
	RoleFanout   Role = "fanout"
	RolePersist  Role = "persist"
	RoleWebhook  Role = "webhook"
	RoleAPI      Role = "api"
)

// Member is what a node tells of itself. A process with several roles is several members.
type Member struct {
	Role    Role              `json:"role"`
	Node    chat.NodeID       `json:"node"`
	PID     int               `json:"pid"`
	Host    string            `json:"host"`
	Started int64             `json:"started"`           // Unix milliseconds
	Addrs   map[string]string `json:"addrs,omitempty"`   // where it is reached: tcp, ws, http, admin; an edge says where clients shall connect
	Active  bool              `json:"active"`            // it takes its share; a worker that has just come watches first
	Ingress chat.Life         `json:"ingress,omitempty"` // the life that a sequencer's positions are of

	// Vector holds, for each partition: a sequencer's floor in the ingress; the revision that an edge was served up to, that the fan-out
	// has handed out, that Postgres has.
	Vector map[chat.Partition]uint64 `json:"vector,omitempty"`
	// Full holds the partitions whose log takes no more blocks, as a sequencer has just seen.
	Full []chat.Partition `json:"full,omitempty"`
	// Beats grows with every turn of the loop of a partition that this node owns; one that stands still hangs.
	Beats map[chat.Partition]uint64 `json:"beats,omitempty"`
}

const (
	memberTTL     = 3 * time.Second         // the broker forgets a member that was not heard of for so long; it looks once a second
	workerGone    = 2500 * time.Millisecond // a worker's share goes to the others already then, and new clients to other edges: a mistake costs nothing
	memberRefresh = 500 * time.Millisecond
	hangAfter     = 3 * time.Second // an owner whose beat stands still for so long hangs
	joinWatch     = 2 * time.Second // a worker that has just come watches so long before it takes its share
)

// message is a member's entry. The time to live goes with the entry itself, because a plain put of a bucket drops it.
func (m *Member) message() (*nats.Msg, error) {
	value, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("announce %s %s: %w", m.Role, m.Node, err)
	}
	msg := &nats.Msg{Subject: memberSubject(m.Role, m.Node), Data: value, Header: nats.Header{}}
	msg.Header.Set(jetstream.MsgTTLHeader, strconv.Itoa(int(memberTTL.Seconds()))+"s")
	return msg, nil
}

// putMember writes a worker's key.
func (c *Conn) putMember(ctx context.Context, m *Member) error {
	msg, err := m.message()
	if err != nil {
		return err
	}
	if _, err := c.publishWait(ctx, msg); err != nil {
		return fmt.Errorf("announce %s %s: %w", m.Role, m.Node, err)
	}
	return nil
}

// dropMember says that a member has gone.
func (c *Conn) dropMember(ctx context.Context, role Role, node chat.NodeID) error {
	if _, err := c.publishWait(ctx, removal(memberSubject(role, node))); err != nil {
		return fmt.Errorf("sign off %s %s: %w", role, node, err)
	}
	return nil
}

// Members is everybody who is there, watched into memory. Its clock is the broker's: the time of the newest entry. A process that
// is itself cut off sees time stand still, and declares nobody dead.
type Members struct {
	c *Conn
	r *Reader[memberChange]

	mu      sync.Mutex
	now     time.Time
	known   map[string]*memberState
	strange map[chat.NodeID]time.Time // edges that were asked about and are not there, since when
	changed chan struct{}             // closed when something other than a vector or a beat has changed
	ready   chan struct{}             // closed when all that was there is in
	applied progress                  // the sequence up to which the bucket has been taken in
}

type memberState struct {
	Member
	heard time.Time
	beats map[chat.Partition]beat
}

type beat struct {
	n     uint64
	since time.Time
}

type memberChange struct {
	seq     uint64
	key     string
	at      time.Time
	gone    bool
	member  *Member
	pending uint64 // how many entries were behind this one
}

// WatchMembers watches the bucket until ctx ends. It returns once all that was there is in.
func (c *Conn) WatchMembers(ctx context.Context) (*Members, error) {
	w := &Members{
		c:       c,
		applied: newProgress(),
		known:   make(map[string]*memberState),
		strange: make(map[chat.NodeID]time.Time),
		changed: make(chan struct{}),
		ready:   make(chan struct{}),
	}
	if c.look && c.gen.Load().Members == 0 {
		return w, nil // nobody has been there, so nothing would come
	}
	var err error
	w.r, err = read(ctx, c, c.Generation(), streamMembers, "members", readerInbox, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{memberPrefix + ">"}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	}, decodeMember)
	if err != nil {
		return nil, err
	}
	go w.follow(ctx) // ends with ctx
	select {
	case <-w.ready: // the life's entry is always there, so something comes
		return w, nil
	case <-time.After(requestPatience):
		return nil, errors.New("watch members: nothing came")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func decodeMember(m jetstream.Msg) (memberChange, bool) {
	meta, err := m.Metadata()
	if err != nil {
		return memberChange{}, false
	}
	ch := memberChange{seq: meta.Sequence.Stream, key: strings.TrimPrefix(m.Subject(), memberPrefix), at: meta.Timestamp, pending: meta.NumPending}
	if ch.gone = removed(m.Headers()); ch.gone {
		return ch, true
	}
	var v Member
	if json.Unmarshal(m.Data(), &v) == nil && v.Role != "" {
		ch.member = &v
	}
	return ch, true
}

func (w *Members) follow(ctx context.Context) {
	defer w.r.Close()
	filled := false
	for {
		select {
		case <-w.r.Ready():
		case <-ctx.Done():
			return
		}
		changes := w.r.Take(readerInbox)
		if len(changes) == 0 {
			continue
		}
		if w.apply(changes) {
			w.mu.Lock()
			close(w.changed)
			w.changed = make(chan struct{})
			w.mu.Unlock()
		}
		w.applied.advance(changes[len(changes)-1].seq)
		if !filled && changes[len(changes)-1].pending == 0 {
			filled = true
			close(w.ready)
		}
	}
}

// apply takes changes in, and reports whether anything but vectors and beats has changed.
func (w *Members) apply(changes []memberChange) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := false
	for _, ch := range changes {
		if ch.at.After(w.now) {
			w.now = ch.at
		}
		old := w.known[ch.key]
		switch {
		case ch.gone && old != nil:
			w.remove(ch.key, old)
			changed = true
		case ch.member != nil:
			changed = changed || old == nil || old.Active != ch.member.Active
			w.known[ch.key] = heardOf(old, ch)
		}
	}
	for key, m := range w.known {
		// An edge is dead only when the broker says so: its routes go with it, and it must learn of that (see Station.Serve).
		if m.Role != RoleEdge && w.now.Sub(m.heard) > workerGone {
			w.remove(key, m)
			changed = true
		}
	}
	return changed
}

func (w *Members) remove(key string, m *memberState) {
	delete(w.known, key)
	if m.Role == RoleEdge {
		w.strange[m.Node] = time.Time{} // it was there: it is dead at once
	}
}

func heardOf(old *memberState, ch memberChange) *memberState {
	m := &memberState{Member: *ch.member, heard: ch.at, beats: make(map[chat.Partition]beat, len(ch.member.Beats))}
	for p, n := range ch.member.Beats {
		b := beat{n, ch.at}
		if old != nil {
			if o, ok := old.beats[p]; ok && o.n == n {
				b = o
			}
		}
		m.beats[p] = b
	}
	return m
}

// Changed yields when somebody has come, gone or become active.
func (w *Members) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// All returns everybody, ordered by role and node.
func (w *Members) All() []Member {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Member
	for _, key := range slices.Sorted(maps.Keys(w.known)) {
		all = append(all, w.known[key].Member)
	}
	return all
}

// Of returns the members of a role.
func (w *Members) Of(role Role) []Member {
	return slices.DeleteFunc(w.All(), func(m Member) bool { return m.Role != role })
}

// Lively returns the active members of a role that were heard of lately. An edge that is not among them may be late, or dead before the broker
// says so: it has sessions still, but nobody new should be sent to it.
func (w *Members) Lively(role Role) []Member {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lively []Member
	for _, key := range slices.Sorted(maps.Keys(w.known)) {
		if m := w.known[key]; m.Role == role && m.Active && w.now.Sub(m.heard) <= workerGone {
			lively = append(lively, m.Member)
		}
	}
	return lively
}

// Vector returns a member's vector for a partition, looked at after everything that was in the bucket when this was called; false if
// there is no such member, or it tells none.
func (w *Members) Vector(ctx context.Context, role Role, node chat.NodeID, p chat.Partition) (uint64, bool, error) {
	if err := w.c.fence(ctx, streamMembers, &w.applied); err != nil {
		return 0, false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.known[string(role)+"."+string(node)]
	if m == nil {
		return 0, false, nil
	}
	v, ok := m.Vector[p]
	return v, ok, nil
}

// strangerDead is how long an edge that nobody has heard of may have routes: its first word may be on its way.
const strangerDead = 2 * memberTTL

// Dead reports whether an edge is not there any more: its key has expired, or it was asked about for a while and never heard of.
func (w *Members) Dead(edge chat.NodeID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known[string(RoleEdge)+"."+string(edge)] != nil {
		delete(w.strange, edge)
		return false
	}
	since, asked := w.strange[edge]
	if !asked {
		if len(w.strange) > strangerLimit {
			clear(w.strange)
		}
		w.strange[edge] = w.now
		return false
	}
	return w.now.Sub(since) > strangerDead
}

const strangerLimit = 10_000

// Owner returns who owns a partition in a role: of the active members the one that rendezvous hashing puts first, passing over those
// whose loop for this partition hangs. False if there is nobody.
func (w *Members) Owner(role Role, p chat.Partition) (chat.NodeID, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var nodes, healthy []chat.NodeID
	for _, m := range w.known {
		if m.Role != role || !m.Active {
			continue
		}
		nodes = append(nodes, m.Node)
		if b, ok := m.beats[p]; !ok || w.now.Sub(b.since) <= hangAfter {
			healthy = append(healthy, m.Node)
		}
	}
	if len(healthy) > 0 {
		nodes = healthy
	}
	return chat.Rendezvous(p, nodes)
}

// Full reports whether a partition's log takes no more blocks.
func (w *Members) Full(p chat.Partition) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.known {
		if m.Role == RoleSequence && slices.Contains(m.Full, p) {
			return true
		}
	}
	return false
}

// Highest returns the highest vector of a role's members for a partition; 0 if none tells one.
func (w *Members) Highest(role Role, p chat.Partition) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var highest uint64
	for _, m := range w.known {
		if m.Role == role {
			highest = max(highest, m.Vector[p])
		}
	}
	return highest
}
