package bench

import (
	"syscall"
	"time"
)

// sleepUntil sleeps in the kernel: Go's timers are a millisecond late on an idle machine, which would be half of what is measured.
func sleepUntil(at time.Time) {
	if d := time.Until(at); d > 0 {
		t := syscall.NsecToTimespec(d.Nanoseconds())
		_ = syscall.Nanosleep(&t, nil) // a signal ends it early: the caller looks at the clock
	}
}
