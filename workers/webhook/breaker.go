package webhook

import (
	"cmp"
	"time"
)

// Limits of a breaker.
const (
	breakAfter     = 5 // failures, one after the other
	breakFor       = 10 * time.Second
	breakForAtMost = 5 * time.Minute
)

// breaker tells whether a receiver may be called. After some failures in a row it may not, for a while; then one call probes, and another
// failure doubles the while. The zero breaker lets everything through.
type breaker struct {
	first    time.Duration // how long it is open at first; 0: breakFor
	failures int
	open     bool
	until    time.Time     // while open: when a call may probe
	pause    time.Duration // how long it was open last
	probing  bool
}

// allow reports whether a call may be made now. The call must then be reported: as ok, failed or given up.
func (b *breaker) allow(now time.Time) bool {
	if !b.open {
		return true
	}
	if b.probing || now.Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

// rests reports whether no call would be allowed now.
func (b *breaker) rests(now time.Time) bool { return b.open && (b.probing || now.Before(b.until)) }

// ok says that a call has succeeded.
func (b *breaker) ok() { *b = breaker{first: b.first} }

// failed says that a call has failed.
func (b *breaker) failed(now time.Time) {
	b.failures++
	if b.open && !b.probing || b.failures < breakAfter {
		return // it was on its way when the breaker opened
	}
	b.pause = min(max(2*b.pause, cmp.Or(b.first, breakFor)), breakForAtMost)
	b.open, b.probing, b.until = true, false, now.Add(b.pause)
}

// givenUp says that a call was ended by ourselves, which tells nothing.
func (b *breaker) givenUp() { b.probing = false }
