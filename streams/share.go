package streams

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// NewNode returns a name for a process that has just started.
func NewNode() chat.NodeID { return chat.NodeID(rand.Text()[:10]) }

// Duty is what a worker does with the partitions that are its share.
type Duty struct {
	Role  Role // set by Work
	Node  chat.NodeID
	Addrs map[string]string // what the process listens on; see [Member]
	// Own owns one partition until ctx ends. When it returns earlier, or panics, it is called again after a moment.
	Own      func(ctx context.Context, p chat.Partition, post *Post) error
	Panicked func() // told of each panic; nil: nobody
	Log      *slog.Logger
}

// Work serves a role in one generation after the other until ctx ends; see serve. Prepare says what the duty is in a generation. What it opens
// with its ctx lives until the node has signed off.
func (c *Conn) Work(ctx context.Context, role Role, prepare func(ctx context.Context, g *Generation, members *Members) (Duty, error)) {
	c.Run(ctx, string(role), func(ctx context.Context, g *Generation) error {
		watch, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		members, err := c.WatchMembers(watch)
		if err != nil {
			return err
		}
		duty, err := prepare(watch, g, members)
		if err != nil {
			return err
		}
		duty.Role = role
		return c.serve(ctx, g, members, duty)
	})
}

// Post is where the loop of a partition reports. Its beat is the proof that the loop turns.
type Post struct {
	mu     sync.Mutex
	vector uint64
	beat   uint64
	full   bool
}

// Report says how far the partition is.
func (p *Post) Report(vector uint64) {
	p.mu.Lock()
	p.vector = vector
	p.mu.Unlock()
}

// Beat says that the loop has turned.
func (p *Post) Beat() {
	p.mu.Lock()
	p.beat++
	p.mu.Unlock()
}

// Full says whether the log takes no more blocks of the partition: edges then refuse requests for it at once.
func (p *Post) Full(full bool) {
	p.mu.Lock()
	p.full = full
	p.mu.Unlock()
}

// share is a worker's part of a role, within one generation.
type share struct {
	c       *Conn
	g       *Generation
	duty    Duty
	members *Members
	started time.Time
	active  bool

	owned map[chat.Partition]*ownership
	wg    sync.WaitGroup
}

type ownership struct {
	post   *Post
	cancel context.CancelFunc
}

// serve takes a node's share of a role's partitions until ctx ends: it announces the node, watches the others, and owns what
// rendezvous hashing gives it. Two owners at once are harmless to all three roles, so nothing is agreed on with anybody.
// A node that comes watches for a while before it takes its share, unless it is alone; one that goes signs off first, so
// that the others go on at once.
func (c *Conn) serve(ctx context.Context, g *Generation, members *Members, duty Duty) error {
	s := &share{
		c: c, g: g, duty: duty, members: members,
		started: time.Now(),
		owned:   make(map[chat.Partition]*ownership),
	}
	s.active = len(members.Of(duty.Role)) == 0
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer s.wg.Wait()
	defer cancel()
	tick := time.NewTicker(memberRefresh)
	defer tick.Stop()
	for {
		changed := members.Changed()
		s.active = s.active || time.Since(s.started) >= joinWatch
		if err := c.putMember(ctx, s.member()); err != nil && ctx.Err() == nil {
			duty.Log.WarnContext(ctx, "cannot announce", "cause", err)
		}
		s.divide(run)
		select {
		case <-tick.C:
		case <-changed:
		case <-ctx.Done():
			return s.signOff(ctx)
		}
	}
}

// signOff lets the others go on before this node has stopped.
func (s *share) signOff(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if !s.c.Connected() {
		return errors.New("not connected")
	}
	return s.c.dropMember(ctx, s.duty.Role, s.duty.Node)
}

func (s *share) member() *Member {
	host, _ := os.Hostname()
	m := &Member{
		Role: s.duty.Role, Node: s.duty.Node, PID: os.Getpid(), Host: host, Addrs: s.duty.Addrs,
		Started: s.started.UnixMilli(), Active: s.active,
		Vector: make(map[chat.Partition]uint64), Beats: make(map[chat.Partition]uint64),
	}
	if s.duty.Role == RoleSequence {
		m.Ingress = s.g.Ingress
	}
	for p, o := range s.owned {
		o.post.mu.Lock()
		m.Vector[p], m.Beats[p] = o.post.vector, o.post.beat
		if o.post.full {
			m.Full = append(m.Full, p)
		}
		o.post.mu.Unlock()
	}
	return m
}

// divide starts and stops the loops of partitions, as the members say.
func (s *share) divide(ctx context.Context) {
	mine := make(map[chat.Partition]bool)
	for p := range chat.Partition(s.c.partitions) {
		if owner, ok := s.members.Owner(s.duty.Role, p); ok && owner == s.duty.Node {
			mine[p] = true
		}
	}
	before := len(s.owned)
	maps.DeleteFunc(s.owned, func(p chat.Partition, o *ownership) bool {
		if !mine[p] {
			o.cancel()
		}
		return !mine[p]
	})
	changed := len(s.owned) != before
	for p := range mine {
		if s.owned[p] == nil {
			changed = true
			s.own(ctx, p)
		}
	}
	if changed {
		s.duty.Log.InfoContext(ctx, "share changed", "partitions", slices.Sorted(maps.Keys(s.owned)))
	}
}

func (s *share) own(ctx context.Context, p chat.Partition) {
	ctx, cancel := context.WithCancel(ctx)
	o := &ownership{post: &Post{}, cancel: cancel}
	s.owned[p] = o
	s.wg.Go(func() {
		for wait := 100 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 3*time.Second) {
			began := time.Now()
			err := s.turn(ctx, p, o.post)
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > 10*time.Second {
				wait = 100 * time.Millisecond // it had worked
			}
			s.duty.Log.WarnContext(ctx, "partition starts again", "partition", p, "cause", err)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	})
}

// turn owns a partition once. A panic ends this turn alone.
func (s *share) turn(ctx context.Context, p chat.Partition, post *Post) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
			if s.duty.Panicked != nil {
				s.duty.Panicked()
			}
		}
	}()
	return s.duty.Own(ctx, p, post)
}
