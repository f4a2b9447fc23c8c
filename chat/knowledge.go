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
