//go:build !linux

package bench

import "time"

// sleepUntil waits with a timer, which is exact enough here.
func sleepUntil(at time.Time) { <-time.After(time.Until(at)) }
