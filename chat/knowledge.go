package chat

import "time"

// cached is a fact and when it was asked for; long ago: it is stale.
type cached[T any] struct {
	value  T
	exists bool
	at     time.Time
}

// knowledge is what a sequencer has been told of the rows in Postgres: apps, users and relations, each for a while; a fact
// outlives its time only while Postgres does not answer.
type knowledge struct {
	ttl     time.Duration
	limit   int
	failing bool // the last look-up failed
	heeds   heeds
	heeded  time.Time // when everything was found to be stale last

	apps      map[AppID]cached[App]
	users     map[UserKey]cached[User]
	relations map[RelationKey]cached[Relation]
}

// usable reports whether a fact may be used: it is fresh, or stale and there is nobody to ask.
func usable[T any](k *knowledge, c cached[T], known bool, now time.Time) bool {
	return known && (now.Sub(c.at) < k.ttl || k.failing)
}

// learn takes an answer in. What became stale after it was asked for is not fresh: it counts only while Postgres does not answer.
func learn[K comparable, T any](
	k *knowledge, into *map[K]cached[T], asked []K, found map[K]T, stale func(K) bool, at time.Time,
) {
	if *into == nil || len(*into) > k.limit {
		*into = make(map[K]cached[T], len(asked)) // rare and cheap: what is still needed is asked for again
	}
	for _, key := range asked {
		value, exists := found[key]
		c := cached[T]{value, exists, at}
		if stale(key) {
			c.at = time.Time{}
		}
		(*into)[key] = c
	}
}

// learn takes in the answer to a question that was asked at a time.
func (k *knowledge) learn(asked Needs, found Facts, at time.Time) {
	k.heeds.forget(at)
	stale := func(x heed) bool { return k.heeded.After(at) || k.heeds.after(at, x) }
	learn(k, &k.apps, asked.Apps, found.Apps, func(a AppID) bool { return stale(heed{app: a, all: true}) }, at)
	learn(k, &k.users, asked.Users, found.Users, func(u UserKey) bool { return stale(heed{app: u.App, a: u.User}) }, at)
	learn(k, &k.relations, asked.Relations, found.Relations, func(r RelationKey) bool {
		return stale(heed{app: r.App, a: r.From, b: r.To})
	}, at)
}

// heed is one row that is stale, and heeds those that were found to be so lately: an answer that is under way may be from before.
type heed struct {
	app  AppID
	all  bool // the app's own row
	a, b UserID
}

type heeds map[heed]time.Time

func (h heeds) after(at time.Time, x heed) bool { return h[x].After(at) }

// forget drops what no answer that is still awaited can be from before.
func (h heeds) forget(at time.Time) {
	for x, t := range h {
		if !t.After(at) {
			delete(h, x)
		}
	}
}

// heed lets rows that an event says are stale be asked for again. While Postgres does not answer they still count.
func (k *knowledge) heed(e *Event, now time.Time) {
	if k.heeds == nil {
		k.heeds = make(heeds)
	}
	if len(k.heeds) > k.limit {
		clear(k.heeds)
		k.heeded = now
	}
	if e.Stale.App {
		expire(k.apps, e.App)
		k.heeds[heed{app: e.App, all: true}] = now
	}
	for _, u := range e.Stale.Users {
		expire(k.users, UserKey{e.App, u})
		k.heeds[heed{app: e.App, a: u}] = now
	}
	for _, r := range e.Stale.Relations {
		expire(k.relations, RelationKey{e.App, r[0], r[1]})
		k.heeds[heed{app: e.App, a: r[0], b: r[1]}] = now
	}
}

// renew lets what a request is to be refused by be asked for again, as far as it was learnt before the request came: whoever was made a friend
// a moment ago may speak. It reports whether there is any such thing. A refusal is final, and rare enough for a question of its own.
func (k *knowledge) renew(p *pending) bool {
	if k.failing {
		return false
	}
	app, from, to := p.q.Conversation.App, p.q.Sender.User, p.peer
	old := expireOld(k.apps, app, p.at)
	old = expireOld(k.users, UserKey{app, from}, p.at) || old
	if p.q.Conversation.Kind == Pair {
		old = expireOld(k.users, UserKey{app, to}, p.at) || old
		old = expireOld(k.relations, RelationKey{app, from, to}, p.at) || old
		old = expireOld(k.relations, RelationKey{app, to, from}, p.at) || old
	}
	return old
}

// expireOld expires what was learnt before a time, and reports whether it was.
func expireOld[K comparable, T any](m map[K]cached[T], key K, before time.Time) bool {
	c, ok := m[key]
	if !ok || !c.at.Before(before) {
		return false
	}
	expire(m, key)
	return true
}

func expire[K comparable, T any](m map[K]cached[T], key K) {
	if c, ok := m[key]; ok {
		c.at = time.Time{}
		m[key] = c
	}
}

// heedAll lets everything be asked for again.
func (k *knowledge) heedAll(now time.Time) {
	k.heeded = now
	for key := range k.apps {
		expire(k.apps, key)
	}
	for key := range k.users {
		expire(k.users, key)
	}
	for key := range k.relations {
		expire(k.relations, key)
	}
}

// judgeSender returns OK, or the code with which the original refuses whatever this user says: its checks, in its order.
func (k *knowledge) judgeSender(app AppID, from UserID) Code {
	if !k.apps[app].exists {
		return AppMissing
	}
	sender := k.users[UserKey{app, from}]
	switch {
	case !sender.exists:
		return UserMissing
	case sender.value.Forbidden:
		return SenderForbidden
	case sender.value.Silent:
		return SenderMuted
	}
	return OK
}

// judgePair returns OK, or the code with which the original refuses a message to another user: after the sender's checks that the
// receiver exists, and then what the two are to each other.
func (k *knowledge) judgePair(app AppID, from, to UserID) Code {
	if code := k.judgeSender(app, from); code != OK {
		return code
	}
	options := k.apps[app].value
	switch {
	case !k.users[UserKey{app, to}].exists:
		return UserMissing
	case from == to || !options.CheckFriend:
		return OK
	}
	there := k.relations[RelationKey{app, from, to}]
	back := k.relations[RelationKey{app, to, from}]
	switch {
	case !there.exists || !back.exists:
		return RelationMissing
	case there.value.Deleted:
		return FriendDeleted
	case back.value.Deleted:
		return DeletedByFriend
	case options.CheckBlack && there.value.Blocked:
		return FriendBlocked
	case options.CheckBlack && back.value.Blocked:
		return BlockedByFriend
	}
	return OK
}

// lacksSender asks for what the judgement of a sender lacks, and reports whether it lacks anything.
func (k *knowledge) lacksSender(app AppID, from UserID, ask *asking, now time.Time) bool {
	lacks := false
	if a, ok := k.apps[app]; !usable(k, a, ok, now) {
		lacks = true
		ask.app(app)
	}
	return k.lacksUser(UserKey{app, from}, ask, now) || lacks
}

func (k *knowledge) lacksUser(u UserKey, ask *asking, now time.Time) bool {
	if c, ok := k.users[u]; usable(k, c, ok, now) {
		return false
	}
	ask.user(u)
	return true
}

// lacksPair does the same for a message to another user.
func (k *knowledge) lacksPair(app AppID, from, peer UserID, ask *asking, now time.Time) bool {
	lacks := k.lacksSender(app, from, ask, now)
	lacks = k.lacksUser(UserKey{app, peer}, ask, now) || lacks
	if a := k.apps[app]; from == peer || (a.exists && !a.value.CheckFriend) {
		return lacks
	}
	for _, r := range [...]RelationKey{{app, from, peer}, {app, peer, from}} {
		if c, ok := k.relations[r]; !usable(k, c, ok, now) {
			lacks = true
			ask.relation(r)
		}
	}
	return lacks
}

// asking collects needs, each once, and remembers what was asked for and not answered yet.
type asking struct {
	needs Needs
	off   bool // Postgres does not answer; nothing is asked

	apps      map[AppID]bool
	users     map[UserKey]bool
	relations map[RelationKey]bool
	heads     map[Conversation]bool
	ids       map[ID]bool
	groups    map[Conversation]bool
	reads     map[ReadKey]bool
	targets   map[Target]bool
}

func newAsking() asking {
	return asking{
		apps:      make(map[AppID]bool),
		users:     make(map[UserKey]bool),
		relations: make(map[RelationKey]bool),
		heads:     make(map[Conversation]bool),
		ids:       make(map[ID]bool),
		groups:    make(map[Conversation]bool),
		reads:     make(map[ReadKey]bool),
		targets:   make(map[Target]bool),
	}
}

func askOnce[K comparable](a *asking, asked map[K]bool, list *[]K, key K) {
	if !a.off && !asked[key] {
		asked[key] = true
		*list = append(*list, key)
	}
}

func (a *asking) app(k AppID)            { askOnce(a, a.apps, &a.needs.Apps, k) }
func (a *asking) user(k UserKey)         { askOnce(a, a.users, &a.needs.Users, k) }
func (a *asking) relation(k RelationKey) { askOnce(a, a.relations, &a.needs.Relations, k) }
func (a *asking) head(k Conversation)    { askOnce(a, a.heads, &a.needs.Heads, k) }
func (a *asking) id(k ID)                { askOnce(a, a.ids, &a.needs.IDs, k) }
func (a *asking) group(k Conversation)   { askOnce(a, a.groups, &a.needs.Groups, k) }
func (a *asking) read(k ReadKey)         { askOnce(a, a.reads, &a.needs.Reads, k) }
func (a *asking) target(k Target)        { askOnce(a, a.targets, &a.needs.Targets, k) }

// Limits of one question: it must be answered in time, or everything in it has failed. A group may have very many members.
const (
	askAtOnce       = 2000 // of each kind
	askGroupsAtOnce = 100
)

// take returns what is to be asked for now. The rest stays for the next question.
func (a *asking) take() (Needs, bool) {
	n := Needs{
		Apps:      first(&a.needs.Apps, askAtOnce),
		Users:     first(&a.needs.Users, askAtOnce),
		Relations: first(&a.needs.Relations, askAtOnce),
		Heads:     first(&a.needs.Heads, askAtOnce),
		IDs:       first(&a.needs.IDs, askAtOnce),
		Groups:    first(&a.needs.Groups, askGroupsAtOnce),
		Reads:     first(&a.needs.Reads, askAtOnce),
		Targets:   first(&a.needs.Targets, askAtOnce),
	}
	return n, len(n.Apps)+len(n.Users)+len(n.Relations)+len(n.Heads)+len(n.IDs)+len(n.Groups)+len(n.Reads)+len(n.Targets) > 0
}

// first takes the first keys out of a list, at most n.
func first[K any](list *[]K, n int) []K {
	keys := *list
	if len(keys) <= n {
		*list = nil
		return keys
	}
	*list = keys[n:]
	return keys[:n:n]
}

func answered[K comparable](asked map[K]bool, keys []K) {
	for _, k := range keys {
		delete(asked, k)
	}
}

func (a *asking) answered(n Needs) {
	answered(a.apps, n.Apps)
	answered(a.users, n.Users)
	answered(a.relations, n.Relations)
	answered(a.heads, n.Heads)
	answered(a.ids, n.IDs)
	answered(a.groups, n.Groups)
	answered(a.reads, n.Reads)
	answered(a.targets, n.Targets)
}
