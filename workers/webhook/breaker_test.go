package webhook

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var b breaker
	want := func(when string, want bool) {
		t.Helper()
		if got := b.allow(now); got != want {
			t.Fatalf("%s: a call is allowed: %t; want %t", when, got, want)
		}
	}
	for range breakAfter - 1 {
		want("before enough have failed", true)
		b.failed(now)
	}
	b.ok()
	for range breakAfter {
		want("after one has succeeded they are counted anew", true)
		b.failed(now)
	}
	want("after five failures", false)
	b.failed(now) // one that was on its way
	now = now.Add(breakFor - time.Millisecond)
	want("before its time", false)
	now = now.Add(time.Millisecond)
	want("one probes", true)
	want("and no other beside it", false)
	b.givenUp()
	want("the probe was given up", true)
	b.failed(now)
	now = now.Add(breakFor)
	want("after a failed probe it takes twice as long", false)
	now = now.Add(breakFor)
	want("one probes again", true)
	for range 10 {
		b.failed(now)
		now = now.Add(breakForAtMost)
		want("five minutes at most", true)
	}
	b.ok()
	want("it is back", true)
	want("for everybody", true)
}

func TestBackoff(t *testing.T) {
	w := &worker{cfg: Config{}.withDefaults()}
	want := []time.Duration{
		10 * time.Second, 40 * time.Second, 160 * time.Second, 640 * time.Second, 2560 * time.Second, 10240 * time.Second, 8 * time.Hour, 8 * time.Hour,
	}
	for i, most := range want {
		if got := w.backoff(i+1, 0.5); got != most/2 {
			t.Errorf("half of the wait after %d attempts is %v; want %v", i+1, got, most/2)
		}
	}
}
