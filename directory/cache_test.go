package directory

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// oracle answers what it is told to, and counts.
type oracle struct {
	asked int
	value int
	err   error
	takes time.Duration
}

func (o *oracle) ask(ctx context.Context, _ string) (int, error) {
	o.asked++
	select {
	case <-time.After(o.takes):
		return o.value, o.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func wantAnswer(t *testing.T, what string, c *cache[string, int], want int, wantErr bool) {
	t.Helper()
	got, err := c.get(t.Context(), "key")
	if got != want || (err != nil) != wantErr {
		t.Errorf("%s: %d, %v; want %d, error %t", what, got, err, want, wantErr)
	}
}

func TestDirectoryIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{}.withDefaults()
		o := &oracle{value: 1, takes: time.Second}
		c := newCache(cfg, o.ask)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { wantAnswer(t, "asked by many at once", c, 1, false) })
		}
		all.Wait()
		if o.asked != 1 {
			t.Errorf("the directory was asked %d times for 100 who wait; want once", o.asked)
		}
		o.value = 2
		<-time.After(cfg.TTL - time.Millisecond)
		wantAnswer(t, "while the answer holds", c, 1, false)
		<-time.After(time.Millisecond)
		wantAnswer(t, "when it does not", c, 2, false)
	})
}

func TestDirectoryThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{}.withDefaults()
		o := &oracle{value: 1}
		c := newCache(cfg, o.ask)
		wantAnswer(t, "known", c, 1, false)

		<-time.After(time.Hour)
		o.err, o.asked = errors.New("no connection"), 0
		wantAnswer(t, "stale", c, 1, false)
		wantAnswer(t, "stale, at once", c, 1, false)
		if o.asked != 1 {
			t.Errorf("the directory that does not answer was asked %d times; want once a second", o.asked)
		}
		o.err, o.takes = nil, time.Hour
		<-time.After(missTTL)
		begin := time.Now()
		wantAnswer(t, "stale, after its time", c, 1, false)
		if took := time.Since(begin); took != cfg.Timeout {
			t.Errorf("that took %v; want %v", took, cfg.Timeout)
		}

		o.value, o.takes = 2, 0
		<-time.After(missTTL)
		wantAnswer(t, "back again", c, 2, false)
	})
}

func TestDirectoryThatKnowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{}.withDefaults()
		o := &oracle{err: errors.New("no connection")}
		c := newCache(cfg, o.ask)
		_, err := c.get(t.Context(), "key")
		if !errors.Is(err, errDirectory) {
			t.Errorf("%v; want that the directory does not answer", err)
		}

		o.err = chat.Error{Code: chat.UserMissing}
		<-time.After(missTTL)
		wantAnswer(t, "it does not exist", c, 0, true)
		wantAnswer(t, "nor a moment later", c, 0, true)
		if o.asked != 2 {
			t.Errorf("the directory was asked %d times; want 2", o.asked)
		}
		<-time.After(missTTL)
		o.err = errors.New("no connection")
		if _, err := c.get(t.Context(), "key"); !errors.Is(err, errDirectory) {
			t.Errorf("%v; want no stale absence: a refusal is final", err)
		}

		<-time.After(missTTL)
		o.value, o.err = 1, nil
		wantAnswer(t, "made meanwhile", c, 1, false)
	})
}

func TestDirectoryIsBounded(t *testing.T) {
	cfg := Config{Size: 10}.withDefaults()
	c := newCache(cfg, func(_ context.Context, key int) (int, error) { return key, nil })
	for i := range 100 {
		if got, err := c.get(t.Context(), i); got != i || err != nil {
			t.Fatalf("%d is %d, %v", i, got, err)
		}
	}
	if n := len(c.entries); n != 10 {
		t.Errorf("%d keys are remembered; want 10", n)
	}
}

func TestForgottenIsAskedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracle{value: 1, takes: time.Second}
		c := newCache(Config{}.withDefaults(), o.ask)
		wantAnswer(t, "at first", c, 1, false)
		o.value = 2
		wantAnswer(t, "while the answer holds", c, 1, false)
		c.forget("key")
		wantAnswer(t, "once it is forgotten", c, 2, false)
		o.err = errors.New("away")
		c.forgetAll()
		wantAnswer(t, "forgotten, and the directory is away", c, 2, false)
	})
}

func TestAnAnswerUnderWayMayBeOfBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values := []int{1, 2}
		c := newCache(Config{}.withDefaults(), func(context.Context, string) (int, error) {
			value := values[0]
			values = values[1:]
			<-time.After(time.Second)
			return value, nil
		})
		go func() {
			<-time.After(time.Second / 2)
			c.forget("key")
		}()
		wantAnswer(t, "it changed while it was asked for", c, 2, false)
		wantAnswer(t, "and the answer holds", c, 2, false)
	})
}
