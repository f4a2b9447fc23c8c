package admin

import (
	"context"
	"sync"
	"time"
)

// checkTimeout bounds all checks of one report together.
const checkTimeout = 3 * time.Second

// Check looks at one part of a process; nil means that it is ready.
type Check func(ctx context.Context) error

// Readiness knows what must be right for a process to do its work. The zero value is ready. Its methods may be called at once by many.
type Readiness struct {
	mu       sync.Mutex
	checks   map[string]Check
	warnings map[string]string
}

// Report is what is wrong at a moment, part by part.
type Report struct {
	Ready    bool              `json:"ready"`
	Reasons  map[string]string `json:"reasons,omitempty"`  // why it is not ready
	Warnings map[string]string `json:"warnings,omitempty"` // what works, and should be better
}

// Watch has each report look at a part, and replaces what was said of the part before.
func (r *Readiness) Watch(part string, check Check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.checks == nil {
		r.checks = map[string]Check{}
	}
	r.checks[part] = check
}

// Set says of a part what is wrong with it until it is said anew; nil: nothing.
func (r *Readiness) Set(part string, err error) {
	r.Watch(part, func(context.Context) error { return err })
}

// Warn says of a part what works and should be better; "": nothing.
func (r *Readiness) Warn(part, warning string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.warnings == nil {
		r.warnings = map[string]string{}
	}
	r.warnings[part] = warning
}

// Report looks at all parts, all at once.
func (r *Readiness) Report(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	checks, report := r.copy()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards report
	for part, check := range checks {
		wg.Go(func() {
			if err := check(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				report.Ready = false
				report.Reasons[part] = err.Error()
			}
		})
	}
	wg.Wait()
	return report
}

// copy returns the checks, and a report of the warnings alone.
func (r *Readiness) copy() (map[string]Check, Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	checks, warnings := map[string]Check{}, map[string]string{}
	for part, check := range r.checks {
		checks[part] = check
	}
	for part, warning := range r.warnings {
		if warning != "" {
			warnings[part] = warning
		}
	}
	return checks, Report{Ready: true, Reasons: map[string]string{}, Warnings: warnings}
}
