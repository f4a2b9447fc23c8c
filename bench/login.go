package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Login says how many devices log in at once.
type Login struct {
	Devices  int  `json:"devices"`  // each of a user of its own
	Parallel int  `json:"parallel"` // logins under way at a time
	Signed   bool `json:"signed"`   // with a userSign
}

// LoginResult is what came of them.
type LoginResult struct {
	LoggedIn int         `json:"logged_in"`
	Failed   int         `json:"failed"`
	Seconds  float64     `json:"took_s"`
	PerS     float64     `json:"logins_per_s"`
	Latency  Percentiles `json:"login"` // from connecting to the answer
}

// Run measures a storm of logins.
func (w Login) Run(ctx context.Context, t *Target) (*Report, error) {
	if err := NeedFiles(w.Devices); err != nil {
		return nil, err
	}
	w.Signed = t.Key != ""
	r, sys, err := t.begin(ctx, "login", w)
	if err != nil {
		return nil, err
	}
	if err := t.users(ctx, w.Devices); err != nil {
		return nil, err
	}
	for i := range w.Devices {
		t.sign(userOf(i)) // before anything counts
	}
	before, load, began := sys.look(false), ownCPU(), time.Now()
	storm := &storm{took: newMeter(window{0, longestRun}), conns: make([]*conn, w.Devices)}
	defer func() { closeAll(storm.conns) }()
	storm.run(ctx, t, w, began)
	took := time.Since(began)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var res LoginResult
	for _, c := range storm.conns {
		if c != nil {
			res.LoggedIn++
		}
	}
	res.Failed, res.Seconds = w.Devices-res.LoggedIn, took.Seconds()
	res.PerS = float64(res.LoggedIn) / res.Seconds
	_, res.Latency = storm.took.result()
	r.Login = &res
	r.Resources = resources(before, sys.look(false), ownCPU()-load, int64(res.LoggedIn), "logins")
	var f faults
	if res.Failed > 0 {
		f.add(faultOf(faultAnswer, "%d of %d logins have failed", res.Failed, w.Devices))
	}
	r.judge(&f, &storm.codes)
	return r, nil
}

const longestRun = 24 * time.Hour

// storm is logins under way.
type storm struct {
	took  *meter
	codes codes
	conns []*conn
}

func (s *storm) run(ctx context.Context, t *Target, w Login, began time.Time) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(max(w.Parallel, 1), w.Devices) {
		workers.Go(func() {
			for i := range next {
				s.login(ctx, t, i, began)
			}
		})
	}
	for i := range w.Devices {
		next <- i
		t.Progress.step("logins", i+1, w.Devices)
	}
	close(next)
	workers.Wait()
}

func (s *storm) login(ctx context.Context, t *Target, i int, began time.Time) {
	due := time.Since(began)
	c, err := t.login(ctx, t.device(i))
	if err != nil {
		s.codes.add(cause(err))
		return
	}
	s.conns[i] = c
	s.took.add(time.Since(began), []time.Duration{due})
}

// cause returns what went wrong, the same for everybody to whom it happens.
func cause(err error) string {
	if e, ok := errors.AsType[chat.Error](err); ok {
		return fmt.Sprintf("%d %s", e.Code, e.Code.Info().Meaning)
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
