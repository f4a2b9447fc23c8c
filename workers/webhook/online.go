package webhook

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

const (
	presenceEvery  = 200 * time.Millisecond
	presenceAtOnce = 500              // changes in a transaction
	lookAtOnce     = 20_000           // users who are looked at in a turn, most of whom have not changed
	lookAgain      = time.Second      // at a user whom nothing could be said of
	lookAtAll      = 30 * time.Second // an app may have begun to listen, or stopped

	// When the broker has lost the routes each edge writes its own again; one that has not yet noticed, or that has many, needs a few seconds.
	// Nobody is said to have gone so shortly after a start.
	returning = 6 * time.Second
)

// The original's numbers of how a user is seen.
const (
	statusOnline  = 1
	statusOffline = 2
)

// presenceTold is the body of user.online and user.offline.
type presenceTold struct {
	AppID      chat.AppID       `json:"appId"`
	UserID     chat.UserID      `json:"userId"`
	Status     int              `json:"status"`
	ClientType *chat.ClientType `json:"clientType,omitempty"` // of the newest session
	Time       int64            `json:"time"`                 // Unix milliseconds
}

// presence compares who is online with whom the apps were told of. It looks at a user whose routes have changed after a delay, so that
// one who comes back within it was never away, and at everybody now and then. What was told is a table, so a new owner repairs what was missed.
type presence struct {
	*worker
	members *streams.Members
	routes  *streams.Routes

	told  map[chat.UserKey]bool
	edges map[chat.NodeID]health // of those with routes, as they were when last looked at
	held  time.Time              // until then nobody is said to have gone

	mu  sync.Mutex
	due map[chat.UserKey]time.Time // when to look at a user
}

// health is what is known of an edge, and of a user by those that hold his sessions: what is greater decides.
type health int

const (
	dead    health = iota
	strange        // nobody has heard of it: its first word may be on its way, or it was dead before this worker came
	alive
)

func newPresence(w *worker, members *streams.Members) *presence {
	return &presence{worker: w, members: members, due: make(map[chat.UserKey]time.Time)}
}

// run watches until ctx ends.
func (p *presence) run(ctx context.Context) (err error) {
	if p.told, err = p.cfg.Store.ToldOnline(ctx); err != nil {
		return err
	}
	if p.routes, err = p.cfg.Conn.WatchRoutes(ctx, p.seen); err != nil {
		return err
	}
	p.held = time.Now().Add(returning)
	p.lookAtAll(time.Now())
	all := time.NewTicker(lookAtAll)
	defer all.Stop()
	tick := time.NewTicker(presenceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-all.C:
			p.lookAtAll(now)
		case now := <-tick.C:
			p.lookAtEdges(now)
			p.sweep(ctx, now)
		}
	}
}

// seen is told of each change of a route.
func (p *presence) seen(was, is *chat.Route) {
	r := is
	if r == nil {
		r = was
	}
	p.look(chat.UserKey{App: r.Device.App, User: r.Device.User}, time.Now().Add(p.cfg.PresenceDelay))
}

// look looks at a user then, unless it does so before.
func (p *presence) look(u chat.UserKey, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, ok := p.due[u]; !ok || at.Before(before) {
		p.due[u] = at
	}
}

func (p *presence) lookAtAll(now time.Time) {
	for u := range p.told {
		p.look(u, now.Add(p.cfg.PresenceDelay))
	}
	for _, e := range p.routes.Edges() {
		p.lookAtEdge(e, now)
	}
}

func (p *presence) lookAtEdge(e chat.NodeID, now time.Time) {
	for _, r := range p.routes.OfEdge(e) {
		p.look(chat.UserKey{App: r.Device.App, User: r.Device.User}, now.Add(p.cfg.PresenceDelay))
	}
}

// lookAtEdges looks at the users of edges that have died, or were heard of.
func (p *presence) lookAtEdges(now time.Time) {
	edges := make(map[chat.NodeID]health)
	for _, m := range p.members.Of(streams.RoleEdge) {
		edges[m.Node] = alive
	}
	for _, e := range p.routes.Edges() {
		if edges[e] != alive && !p.members.Dead(e) {
			edges[e] = strange
		}
		if edges[e] != p.edges[e] {
			p.lookAtEdge(e, now)
		}
	}
	p.edges = edges
}

// sweep looks at the users who are due, and lets their apps be told what has changed.
func (p *presence) sweep(ctx context.Context, now time.Time) {
	var changes []chat.Presence
	for _, u := range p.takeDue(now) {
		c, at := p.compare(ctx, u, now)
		if !at.IsZero() {
			p.look(u, at)
		}
		if c != nil {
			changes = append(changes, *c)
		}
	}
	for some := range slices.Chunk(changes, presenceAtOnce) {
		p.tell(ctx, some, now)
	}
}

// tell lets the apps be told of changes, all of them or none.
func (p *presence) tell(ctx context.Context, changes []chat.Presence, now time.Time) {
	if err := p.cfg.Store.TellPresence(ctx, changes); err != nil {
		p.postgresFails(ctx, err)
		for i := range changes {
			p.look(changes[i].User, now.Add(lookAgain))
		}
		return
	}
	for i := range changes {
		if c := &changes[i]; c.Online {
			p.told[c.User] = true
		} else {
			delete(p.told, c.User)
		}
	}
	p.hurry()
}

func (p *presence) takeDue(now time.Time) (users []chat.UserKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for u, at := range p.due {
		if now.Before(at) {
			continue
		}
		if users = append(users, u); len(users) == lookAtOnce {
			break
		}
	}
	for _, u := range users {
		delete(p.due, u)
	}
	return users
}

// compare returns what there is to tell of a user; nil: nothing. At is when to look at him again; zero: when something happens.
func (p *presence) compare(ctx context.Context, u chat.UserKey, now time.Time) (c *chat.Presence, at time.Time) {
	hooks, err := p.hooks(ctx, u.App)
	if err != nil {
		return nil, now.Add(lookAgain)
	}
	newest, is := p.online(u)
	online := is == alive
	if !hooks.On(chat.HookUserOnline) && !hooks.On(chat.HookUserOffline) {
		if !p.told[u] {
			return nil, time.Time{}
		}
		return &chat.Presence{User: u}, time.Time{} // nobody listens any more
	}
	switch {
	case is == strange:
		return nil, now.Add(lookAgain)
	case online == p.told[u]:
		return nil, time.Time{}
	case !online && now.Before(p.held):
		return nil, p.held
	}
	c = &chat.Presence{User: u, Online: online}
	body := presenceTold{AppID: u.App, UserID: u.User, Status: statusOffline, Time: now.UnixMilli()}
	command := chat.HookUserOffline
	if online {
		command = chat.HookUserOnline
		body.Status, body.ClientType = statusOnline, &newest
	}
	if hooks.On(command) {
		c.Call = &chat.Call{App: u.App, Event: "online-" + rand.Text(), HookCall: chat.HookCall{Command: command, Body: encode(body)}}
	}
	return c, time.Time{}
}

// online tells how the edges are that hold a user's sessions, and the client of the newest of those that live.
func (p *presence) online(u chat.UserKey) (newest chat.ClientType, best health) {
	for _, r := range p.routes.Of(u) {
		if is := p.edges[r.Edge]; is >= best {
			newest, best = r.Device.Client, is
		}
	}
	return newest, best
}
