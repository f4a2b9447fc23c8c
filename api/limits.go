package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/whaleshark-im/whaleshark/chat"
)

// limits keep one app, and one user, from taking the API from all others. They count within this process.
type limits struct {
	appRate, userRate float64

	mu      sync.Mutex
	apps    map[chat.AppID]*rate.Limiter
	users   map[chat.UserKey]*rate.Limiter // of those who have proved who they are
	claimed map[chat.UserKey]*rate.Limiter // of those who have not: they use up nobody's but their own
	hashes  map[chat.UserKey]*rate.Limiter // of changes of a user's password
}

// limitersKept is how many users' limits are remembered of each kind; when there are more, all begin anew, which costs one burst each.
const limitersKept = 100_000

func newLimits(app, user float64) *limits {
	return &limits{
		appRate: app, userRate: user, apps: make(map[chat.AppID]*rate.Limiter), users: make(map[chat.UserKey]*rate.Limiter),
		claimed: make(map[chat.UserKey]*rate.Limiter), hashes: make(map[chat.UserKey]*rate.Limiter),
	}
}

// allow counts a request, and reports whether it is one too many. An administrator who has proved it has no limit but the app's, nor has who does
// not say who he is. A user's comes first: what he may not ask is not counted against his app.
func (l *limits) allow(c *caller, now time.Time) error {
	l.mu.Lock()
	app := limiterOf(l.apps, c.app.ID, l.appRate)
	users := l.users
	if !c.signed {
		users = l.claimed
	}
	user := limiterOf(users, c.key(), l.userRate)
	l.mu.Unlock()
	switch {
	case c.user != "" && (!c.admin || !c.signed) && !user.AllowN(now, 1):
		return chat.Errorf(chat.TooManyRequests, "a user may make %g requests a second", l.userRate)
	case !app.AllowN(now, 1):
		return chat.Errorf(chat.TooManyRequests, "the app may make %g requests a second", l.appRate)
	}
	return nil
}

// hashRate is how often a second one user's password may change: hashing one is made dear, for us as well.
const hashRate = 1

// allowHash counts a change of a user's password, and reports whether it is one too many.
func (l *limits) allowHash(user chat.UserKey, now time.Time) error {
	l.mu.Lock()
	x := limiterOf(l.hashes, user, hashRate)
	l.mu.Unlock()
	if !x.AllowN(now, 1) {
		return chat.Errorf(chat.TooManyRequests, "a user's password may change once a second")
	}
	return nil
}

func limiterOf[K comparable](limiters map[K]*rate.Limiter, key K, perSecond float64) *rate.Limiter {
	x := limiters[key]
	if x == nil {
		if len(limiters) >= limitersKept {
			clear(limiters)
		}
		x = rate.NewLimiter(rate.Limit(perSecond), int(max(perSecond, 1)))
		limiters[key] = x
	}
	return x
}
