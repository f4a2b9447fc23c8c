package sequence

import "testing"

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
