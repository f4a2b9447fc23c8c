package edge

import (
	"testing"
	"time"
)

// testTime is the time where none passes.
var testTime = time.Unix(1700000000, 0)

func TestVitals(t *testing.T) {
	cfg := Config{}.withDefaults()
	const second = int64(time.Second / time.Millisecond)
	for _, test := range []struct {
		name string
		v    vitals
		last int64 // seconds after which nothing is due yet; a second later want is
		want due
	}{
		{"no login", vitals{phase: greeting}, 9, tooLate},
		{"a login that lasts", vitals{phase: entering}, 1000, nothing},
		{"a client that never pings", vitals{phase: present}, 1000, nothing},
		{"a client that has pinged", vitals{phase: present, pinged: true}, 89, tooSilent},
		{"a WebSocket", vitals{phase: present, pings: true}, 29, askForLife},
		{"a WebSocket that is asked already", vitals{phase: present, pings: true, pinging: true}, 1000, nothing},
		{"a WebSocket that pings by itself", vitals{phase: present, pings: true, pinged: true}, 29, askForLife},
		{"a write that lasts", vitals{phase: present, write: 1}, 9, tooSlow},
		{"a write that lasts before the login", vitals{phase: entering, write: 1}, 9, tooSlow},
		{"a kick", vitals{phase: present, kicked: 1, pings: true}, 1, graceOver},
		{"an ending", vitals{phase: present, ending: 1, write: 1, pinged: true}, 4, cut},
	} {
		if got := test.v.due(&cfg, test.last*second); got != nothing {
			t.Errorf("%s: after %d s %d is due; want nothing", test.name, test.last, got)
		}
		if got := test.v.due(&cfg, (test.last+1)*second+1); got != test.want {
			t.Errorf("%s: after %d s %d is due; want %d", test.name, test.last+1, got, test.want)
		}
	}
}
