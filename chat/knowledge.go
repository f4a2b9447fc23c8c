package chat

import "time"

// cached is a fact and when it was learnt.
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

	apps      map[AppID]cached[App]
	users     map[UserKey]cached[User]
	relations map[RelationKey]cached[Relation]
}

// usable reports whether a fact may be used: it is fresh, or stale and there is nobody to ask.
func usable[T any](k *knowledge, c cached[T], known bool, now time.Time) bool {
	return known && (now.Sub(c.at) < k.ttl || k.failing)
}

func learn[K comparable, T any](k *knowledge, into *map[K]cached[T], asked []K, found map[K]T, now time.Time) {
	if *into == nil || len(*into) > k.limit {
		*into = make(map[K]cached[T], len(asked)) // rare and cheap: what is still needed is asked for again
	}
	for _, key := range asked {
		value, exists := found[key]
		(*into)[key] = cached[T]{value, exists, now}
	}
}

func (k *knowledge) learn(asked Needs, found Facts, now time.Time) {
	learn(k, &k.apps, asked.Apps, found.Apps, now)
	learn(k, &k.users, asked.Users, found.Users, now)
	learn(k, &k.relations, asked.Relations, found.Relations, now)
}

// judge returns OK, or the code with which the original refuses such a message: its checks, in its order, and after the sender's
// that the receiver exists.
func (k *knowledge) judge(q *Request, peer UserID) Code {
	app := k.apps[q.Conversation.App]
	if !app.exists {
		return AppMissing
	}
	from, to := q.Sender.User, peer
	sender := k.users[UserKey{q.Conversation.App, from}]
	switch {
	case !sender.exists:
		return UserMissing
	case sender.value.Forbidden:
		return SenderForbidden
	case sender.value.Silent:
		return SenderMuted
	case !k.users[UserKey{q.Conversation.App, to}].exists:
		return UserMissing
	case from == to || !app.value.CheckFriend:
		return OK
	}
	there := k.relations[RelationKey{q.Conversation.App, from, to}]
	back := k.relations[RelationKey{q.Conversation.App, to, from}]
	switch {
	case !there.exists || !back.exists:
		return RelationMissing
	case there.value.Deleted:
		return FriendDeleted
	case back.value.Deleted:
		return DeletedByFriend
	case app.value.CheckBlack && there.value.Blocked:
		return FriendBlocked
	case app.value.CheckBlack && back.value.Blocked:
		return BlockedByFriend
	}
	return OK
}

// missing adds to needs what the judgement of q lacks and nobody has asked for yet, and reports whether it lacks anything.
func (k *knowledge) missing(q *Request, peer UserID, ask *asking, now time.Time) bool {
	app, from := q.Conversation.App, q.Sender.User
	lacks := false
	lack := func(known bool, add func()) {
		if !known {
			lacks = true
			add()
		}
	}
	a, ok := k.apps[app]
	lack(usable(k, a, ok, now), func() { ask.app(app) })
	for _, u := range [...]UserKey{{app, from}, {app, peer}} {
		c, ok := k.users[u]
		lack(usable(k, c, ok, now), func() { ask.user(u) })
	}
	if from == peer || (a.exists && !a.value.CheckFriend) {
		return lacks
	}
	for _, r := range [...]RelationKey{{app, from, peer}, {app, peer, from}} {
		c, ok := k.relations[r]
		lack(usable(k, c, ok, now), func() { ask.relation(r) })
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
}

func newAsking() asking {
	return asking{
		apps:      make(map[AppID]bool),
		users:     make(map[UserKey]bool),
		relations: make(map[RelationKey]bool),
		heads:     make(map[Conversation]bool),
		ids:       make(map[ID]bool),
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

// take returns what is to be asked for now.
func (a *asking) take() (Needs, bool) {
	n := a.needs
	a.needs = Needs{}
	return n, len(n.Apps)+len(n.Users)+len(n.Relations)+len(n.Heads)+len(n.IDs) > 0
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
}
