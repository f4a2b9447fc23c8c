package webhook

import (
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

const (
	callsAtOnce     = 16 // of an app, from one process
	questionsAtOnce = 256
	behindFor       = 10 * time.Second
	sayEvery        = time.Minute
)

// lanes are the lanes of all apps.
type lanes struct {
	breakFor time.Duration

	mu sync.Mutex
	of map[chat.AppID]*lane
}

// lane is what the calls of one app share in a process, so that it is in no other app's way. News and questions have a breaker each: a
// receiver that is too slow for the one may be good for the other.
type lane struct {
	calls     chan struct{} // full: wait
	questions chan struct{} // likewise

	mu     sync.Mutex
	news   breaker
	asks   breaker
	behind time.Time // until then news go to Postgres at once
	said   time.Time // until then nothing is said of dead calls
}

func newLanes(breakFor time.Duration) *lanes {
	return &lanes{breakFor: breakFor, of: make(map[chat.AppID]*lane)}
}

func (l *lanes) get(app chat.AppID) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.of[app]
	if x == nil {
		x = &lane{calls: make(chan struct{}, callsAtOnce), questions: make(chan struct{}, questionsAtOnce)}
		x.news.first, x.asks.first = l.breakFor, l.breakFor
		l.of[app] = x
	}
	return x
}

// resting returns the apps whose news would not be let through now.
func (l *lanes) resting(now time.Time) []chat.AppID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var apps []chat.AppID
	for app, x := range l.of {
		x.mu.Lock()
		if x.news.rests(now) {
			apps = append(apps, app)
		}
		x.mu.Unlock()
	}
	return apps
}

// allow asks one of the lane's breakers.
func (l *lane) allow(b *breaker, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return b.allow(now)
}

// report tells one of the lane's breakers how a call has ended, and returns whether it was open before, and is now.
func (l *lane) report(b *breaker, outcome string, now time.Time) (was, is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was = b.open
	switch outcome {
	case delivered:
		b.ok()
	case failed:
		b.failed(now)
	case givenUp:
		b.givenUp()
	}
	return was, b.open
}

// sayDead reports whether it is time to say that calls of the app are dead: once in a while, for there may be very many.
func (l *lane) sayDead(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.said) {
		return false
	}
	l.said = now.Add(sayEvery)
	return true
}

// lag says that a batch was not finished in its time.
func (l *lane) lag(now time.Time) {
	l.mu.Lock()
	l.behind = now.Add(behindFor)
	l.mu.Unlock()
}

// passes reports whether news have a first attempt at once.
func (l *lane) passes(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !now.Before(l.behind) && !l.news.rests(now)
}

// probes reports whether the next call is to find out whether the receiver is back.
func (l *lane) probes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.news.open
}
