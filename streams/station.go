package streams

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Patron is what a station needs of its edge.
type Patron interface {
	// Deliver hands a push to its sessions, without waiting for them.
	Deliver(p *chat.Push)
	// Vector returns the revision that the edge was served up to, for each partition.
	Vector() map[chat.Partition]chat.Revision
	// SetVector sets it; an edge that has just started was served with all that was before.
	SetVector(v map[chat.Partition]chat.Revision)
	// RouteSeen tells how the route of a session, on whichever edge, has changed: as it was and as it is; nil: there is none.
	RouteSeen(was, is *chat.Route)
	// RoutesRead tells that all routes were read anew: what has gone meanwhile was not told.
	RoutesRead()
	// Routes returns the routes of all sessions.
	Routes() []chat.Route
}

// Station is an edge's place among the streams.
type Station struct {
	c       *Conn
	node    chat.NodeID
	addrs   map[string]string
	routes  atomic.Pointer[Routes]
	members atomic.Pointer[Members]
	since   time.Time

	draining  atomic.Bool
	announced atomic.Bool
	cursor    atomic.Int64

	// Owned by Serve.
	announcedIn chat.Life // the life of MEMBERS in which the edge has announced itself
	push        chat.Life // the life of PUSH that it reads
	read        uint64    // how far it has read there
	heard       time.Time // when the last tick came
}

// ErrDeclaredDead says that an edge was not heard of for so long that the others have gone on without it: its routes are gone, so
// its sessions must go too.
var ErrDeclaredDead = errors.New("the others have declared this edge dead")

// NewStation returns the station of an edge that listens on addrs.
func (c *Conn) NewStation(node chat.NodeID, addrs map[string]string) *Station {
	return &Station{c: c, node: node, addrs: addrs, since: time.Now()}
}

// Submit is [Conn.Submit]. While the log of the request's partition takes no more blocks, the request is refused at once.
func (s *Station) Submit(q *chat.Request, done func(error)) {
	if members := s.members.Load(); members != nil && members.Full(q.Conversation.Partition(s.c.partitions)) {
		done(chat.Error{Code: chat.Busy})
		return
	}
	s.c.Submit(q, done)
}

// Signal is [Conn.Signal].
func (s *Station) Signal(x *chat.Signal) error { return s.c.Signal(x) }

// PutRoute is [Conn.PutRoute], for a station that is announced.
func (s *Station) PutRoute(ctx context.Context, r chat.Route) error {
	if !s.announced.Load() {
		return errors.New("the edge is not announced")
	}
	return s.c.PutRoute(ctx, r)
}

// DropRoute is [Conn.DropRoute].
func (s *Station) DropRoute(ctx context.Context, r chat.Route) error { return s.c.DropRoute(ctx, r) }

// RoutesOf returns the routes of a user that are known here. The slice must not be changed.
func (s *Station) RoutesOf(user chat.UserKey) []chat.Route {
	if routes := s.routes.Load(); routes != nil {
		return routes.Of(user)
	}
	return nil
}

// Dead reports whether the members say that an edge is not there any more.
func (s *Station) Dead(edge chat.NodeID) bool {
	members := s.members.Load()
	return members != nil && members.Dead(edge)
}

// Announced reports whether the others know of this edge.
func (s *Station) Announced() bool { return s.announced.Load() }

// Drain says that the edge takes no more clients.
func (s *Station) Drain() { s.draining.Store(true) }

// Serve delivers what is pushed to the edge and keeps it known, until ctx ends or the edge is declared dead.
func (s *Station) Serve(ctx context.Context, e Patron) error {
	last, err := s.c.LastRevision(ctx)
	if err != nil {
		return err
	}
	start := make(map[chat.Partition]chat.Revision)
	for p := range chat.Partition(s.c.partitions) {
		start[p] = last
	}
	e.SetVector(start)

	ctx, cancel := context.WithCancelCause(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel(nil)
	following.Go(func() { s.followEnd(ctx, e.Vector) })
	s.c.Run(ctx, "edge", func(ctx context.Context, g *Generation) error {
		v := &visit{s: s, e: e, g: g}
		err := v.serve(ctx)
		if errors.Is(err, ErrDeclaredDead) {
			cancel(err)
		}
		return err
	})
	s.announced.Store(false)
	if errors.Is(context.Cause(ctx), ErrDeclaredDead) {
		return ErrDeclaredDead
	}
	return s.signOff(ctx)
}

func (s *Station) signOff(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return s.c.dropMember(ctx, RoleEdge, s.node)
}

// visit is a station within one generation.
type visit struct {
	s   *Station
	e   Patron
	g   *Generation
	seq uint64 // of the edge's key

	forgetting sync.Mutex // held while pushes are being forgotten
}

// ghostsEvery is how often routes are compared with the sessions: a removal, or a change, is lost when the broker is away at that moment.
const ghostsEvery = 10 * time.Second

// forgetEvery is how often an edge lets go of the pushes that it has read.
const forgetEvery = time.Second

// unheard is how long an edge may have heard nothing of its pushes: after it, some may have been dropped for their age.
const unheard = pushMaxAge / 2

// serve keeps the edge known for as long as its pushes arrive: it sends ticks through them, and refreshes its key by the loop that
// hears them. The key is written by compare-and-set: if it has expired meanwhile, the others have gone on without the edge.
func (v *visit) serve(ctx context.Context) error {
	if v.s.push != v.g.Push {
		v.s.push, v.s.read, v.s.heard = v.g.Push, 0, time.Now()
	}
	if time.Since(v.s.heard) > unheard {
		return ErrDeclaredDead
	}
	pushes, err := v.s.c.ReadPushes(ctx, v.g, v.s.node, v.s.read)
	if err != nil {
		return err
	}
	defer pushes.Close()
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	routes, err := v.s.c.WatchRoutes(watch, v.e.RouteSeen)
	if err != nil {
		return err
	}
	v.s.routes.Store(routes)
	members, err := v.s.c.WatchMembers(watch)
	if err != nil {
		return err
	}
	v.s.members.Store(members)
	v.e.RoutesRead()
	// The routes first: whoever hears of the edge serves its sessions from the edge's number on, and must see them all.
	if err := v.writeRoutes(ctx); err != nil {
		return err
	}
	if err := v.announce(ctx); err != nil {
		return err
	}
	v.s.announcedIn = v.g.Members
	v.s.announced.Store(true)
	defer v.s.announced.Store(false)
	return v.loop(ctx, pushes, routes)
}

// writing is how many routes are written at once: while they are not there, nobody is told what is said, and those who watch see nobody.
const writing = 16

// writeRoutes writes the routes of all sessions again. A session that ended meanwhile has removed its route, perhaps before it was
// written here: those that are no longer there are removed once more.
func (v *visit) writeRoutes(ctx context.Context) error {
	routes := v.e.Routes()
	writers, writersCtx := errgroup.WithContext(ctx)
	writers.SetLimit(writing)
	for _, r := range routes {
		if writersCtx.Err() != nil { // one has failed
			break
		}
		writers.Go(func() error { return v.s.c.PutRoute(writersCtx, r) })
	}
	if err := writers.Wait(); err != nil {
		return err
	}
	return v.correct(ctx, routes)
}

// correct removes those of the written routes whose sessions have ended, and writes again those that say something else by now.
func (v *visit) correct(ctx context.Context, written []chat.Route) error {
	there := make(map[chat.SessionID]chat.Route)
	for _, r := range v.e.Routes() {
		there[r.Session] = r
	}
	for _, r := range written {
		var err error
		if now, ok := there[r.Session]; !ok {
			err = v.s.c.DropRoute(ctx, r)
		} else if now != r {
			err = v.s.c.PutRoute(ctx, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) loop(ctx context.Context, pushes *Reader[Pushed], routes *Routes) error {
	tick := time.NewTicker(memberRefresh)
	defer tick.Stop()
	clean := time.NewTicker(ghostsEvery)
	defer clean.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	var cleaning sync.WaitGroup
	defer cleaning.Wait()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pushes.Ready():
			for _, p := range pushes.Take(readerInbox) {
				v.s.read, v.s.heard = p.Sequence, time.Now()
				if p.Push != nil {
					v.e.Deliver(p.Push)
				}
			}
		case <-clean.C:
			written := routes.OfEdge(v.s.node) // before the sessions are looked at: a session is there before its route is
			cleaning.Go(func() {
				if err := v.correct(ctx, written); err != nil {
					v.s.c.log.DebugContext(ctx, "routes were not corrected", "cause", err)
				}
			})
		case <-forget.C:
			v.forget(ctx, &cleaning)
		case <-tick.C:
			if err := v.s.c.TickPush(v.s.node); err != nil {
				v.s.c.log.DebugContext(ctx, "no tick", "cause", err)
			}
			if time.Since(v.s.heard) > hangAfter {
				return errors.New("pushes do not arrive") // read them anew; if that takes long, the key expires
			}
			if err := v.refresh(ctx); err != nil {
				return err
			}
		}
	}
}

// forget lets go of the pushes that were read, beside the loop and one time after the other.
func (v *visit) forget(ctx context.Context, beside *sync.WaitGroup) {
	if !v.forgetting.TryLock() {
		return // the broker is slow
	}
	read := v.s.read
	beside.Go(func() {
		defer v.forgetting.Unlock()
		if err := v.s.c.forgetPushes(ctx, v.g, v.s.node, read); err != nil {
			v.s.c.log.DebugContext(ctx, "pushes were not forgotten", "cause", err)
		}
	})
}

// announce writes the edge's key for the first time in this generation.
func (v *visit) announce(ctx context.Context) error {
	subject := memberSubject(RoleEdge, v.s.node)
	e, err := v.s.c.getMessage(ctx, streamMembers, map[string]any{"last_by_subj": subject})
	switch {
	case errors.Is(err, errNoEntry):
		if v.s.announcedIn == v.g.Members {
			return v.dead(ctx)
		}
	case err != nil:
		return err
	case len(e.Data) == 0:
		return v.dead(ctx) // the mark of a key that has expired
	default:
		v.seq = e.Seq
	}
	return v.refresh(ctx)
}

func (v *visit) refresh(ctx context.Context) error {
	msg, err := v.s.message(v.e.Vector())
	if err != nil {
		return err
	}
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(v.seq, 10))
	seq, err := v.s.c.publishWait(ctx, msg)
	switch {
	case err == nil:
		v.seq = seq
		return nil
	case errors.Is(err, ErrConflict):
		return v.reread(ctx)
	case errors.Is(err, ErrTransient), errors.Is(err, ErrUnknown), errors.Is(err, ErrNotSent):
		return nil // the next turn tries again
	}
	return fmt.Errorf("announce edge %s: %w", v.s.node, err)
}

// reread settles a refresh that was refused: an earlier one whose acknowledgement was lost may have been the reason.
func (v *visit) reread(ctx context.Context) error {
	e, err := v.s.c.getMessage(ctx, streamMembers, map[string]any{"last_by_subj": memberSubject(RoleEdge, v.s.node)})
	if errors.Is(err, errNoEntry) || err == nil && len(e.Data) == 0 {
		return v.dead(ctx)
	}
	if err != nil {
		return err
	}
	v.seq = e.Seq
	return nil
}

// dead says that the edge's key is gone, unless it went with all the others when the bucket began a new life.
func (v *visit) dead(ctx context.Context) error {
	life, err := v.s.c.readLife(ctx, memoryStreams[3])
	if err != nil {
		return err
	}
	if life != v.g.Members {
		return errors.New("the members have begun a new life")
	}
	return ErrDeclaredDead
}

// message is the edge's entry among the members.
func (s *Station) message(vector map[chat.Partition]chat.Revision) (*nats.Msg, error) {
	host, _ := os.Hostname()
	m := &Member{
		Role: RoleEdge, Node: s.node, PID: os.Getpid(), Host: host, Addrs: s.addrs, Started: s.since.UnixMilli(),
		Active: !s.draining.Load(), Vector: make(map[chat.Partition]uint64, len(vector)),
	}
	for p, r := range vector {
		m.Vector[p] = uint64(r)
	}
	return m.message()
}
