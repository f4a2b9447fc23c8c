package sequence

import (
	"testing"
	"time"
)

// TestTurnsComeInTheOrderOfTheAsking lets three ask of two turns, and one of them go.
func TestTurnsComeInTheOrderOfTheAsking(t *testing.T) {
	turns := newTurns(1)
	a, b, c, d := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	for _, mine := range []chan struct{}{a, b, c, d} {
		turns.ask(mine)
	}
	has := func(want ...int) {
		t.Helper()
		for i, n := range []int{len(a), len(b), len(c), len(d)} {
			if n != want[i] {
				t.Fatalf("%c has %d turns, want %d", 'a'+rune(i), n, want[i])
			}
		}
	}
	has(1, 0, 0, 0)
	<-a
	turns.giveBack()
	has(0, 1, 0, 0)
	turns.forgo(c) // it waits no longer
	turns.forgo(b) // it has not even looked
	has(0, 0, 0, 1)
	<-d
	turns.giveBack()
	turns.ask(c)
	has(0, 0, 1, 0)
}

// TestAnOwnerWaitsForThoseWhoCameTogether looks at an owner whose last block had three records.
func TestAnOwnerWaitsForThoseWhoCameTogether(t *testing.T) {
	now := time.Unix(0, 0)
	for _, test := range []struct {
		name    string
		waiting int
		after   time.Duration // since the first was there
		want    bool
	}{
		{"nobody is there", 0, fillFor, false},
		{"one is there", 1, 0, false},
		{"two are there soon", 2, fillFor - 1, false},
		{"all are there", 3, fillFor - 1, true},
		{"two have waited long enough", 2, fillFor, true},
	} {
		s := newSeat(newTurns(1))
		s.last = 3
		s.ready(1, now)
		if got := s.ready(test.waiting, now.Add(test.after)); got != test.want {
			t.Errorf("%s: ready is %t, want %t", test.name, got, test.want)
		}
		s.leave()
	}
	alone := newSeat(newTurns(1))
	alone.last = 1
	if !alone.ready(1, now) {
		t.Error("who is alone waits for others")
	}
	alone.leave()
}

// TestAnOwnerThatEndsLetsTheOthersGoOn ends one that has its turn, and one that has asked for it.
func TestAnOwnerThatEndsLetsTheOthersGoOn(t *testing.T) {
	turns := newTurns(1)
	first, second, third := newSeat(turns), newSeat(turns), newSeat(turns)
	for i, s := range []*seat{first, second, third} {
		if got := s.ready(1, time.Now()); got != (i == 0) {
			t.Fatalf("owner %d is ready: %t", i, got)
		}
	}
	second.leave()
	first.leave()
	if !third.ready(1, time.Now()) {
		t.Error("the third waits for ever")
	}
}
