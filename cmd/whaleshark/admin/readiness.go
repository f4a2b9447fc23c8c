package admin

import (
	"context"
	"maps"
	"sync"
	"time"
)

// checkTimeout bounds all checks of one report together.
const checkTimeout = 3 * time.Second

// Check looks at one part of a process; nil means that all is well with it.
type Check func(ctx context.Context) error

// Readiness knows what must be right for a process to do its work, and what should be. The zero value is ready. Its methods may be called at
// once by many.
type Readiness struct {
	mu     sync.Mutex
	needs  map[string]Check
	doubts map[string]Check
}

// Report is what is wrong at a moment, part by part.
type Report struct {
	Ready    bool              `json:"ready"`
	Reasons  map[string]string `json:"reasons,omitempty"`  // why it is not ready
	Warnings map[string]string `json:"warnings,omitempty"` // what works, and should be better
}

// Need has each report look at a part that the process cannot do without. It replaces what was said of the part before.
func (r *Readiness) Need(part string, check Check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.needs == nil {
		r.needs = map[string]Check{}
	}
	r.needs[part] = check
}

// Set says of a needed part what is wrong with it, until it is said anew; nil: nothing.
func (r *Readiness) Set(part string, err error) {
	r.Need(part, func(context.Context) error { return err })
}

// Doubt has each report look at what works, and should be better. It replaces what was doubted of the part before.
func (r *Readiness) Doubt(part string, check Check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doubts == nil {
		r.doubts = map[string]Check{}
	}
	r.doubts[part] = check
}

// Report looks at all parts, all at once.
func (r *Readiness) Report(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r.mu.Lock()
	needs, doubts := maps.Clone(r.needs), maps.Clone(r.doubts)
	r.mu.Unlock()

	var wg sync.WaitGroup
	var reasons, warnings findings
	reasons.look(ctx, &wg, needs)
	warnings.look(ctx, &wg, doubts)
	wg.Wait()
	return Report{Ready: len(reasons.found) == 0, Reasons: reasons.found, Warnings: warnings.found}
}

// findings is what checks have found wrong.
type findings struct {
	mu    sync.Mutex
	found map[string]string
}

func (f *findings) look(ctx context.Context, wg *sync.WaitGroup, checks map[string]Check) {
	f.found = map[string]string{}
	for part, check := range checks {
		wg.Go(func() {
			if err := check(ctx); err != nil {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.found[part] = err.Error()
			}
		})
	}
}
