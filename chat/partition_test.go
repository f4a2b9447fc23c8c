package chat_test

import (
	"fmt"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
)

// TestPartitionsStayWhatTheyAre holds the function to what logs were written with.
func TestPartitionsStayWhatTheyAre(t *testing.T) {
	for c, want := range map[chat.Conversation][3]chat.Partition{
		chat.PairOf(10001, "alice", "bob"):     {0, 0, 48},
		chat.PairOf(10001, "1000000", "u/1 é"): {0, 2, 42},
		chat.GroupOf(10001, "team"):            {0, 3, 51},
	} {
		if got := [3]chat.Partition{c.Partition(1), c.Partition(4), c.Partition(64)}; got != want {
			t.Errorf("%s is in partitions %v of 1, 4 and 64, want %v", c, got, want)
		}
	}
}

// TestPartitionsAreEven looks at names as apps give them: numbers that follow each other, and one user who talks to all.
func TestPartitionsAreEven(t *testing.T) {
	const pairs = 20_000
	for name, pair := range map[string]func(i int) chat.Conversation{
		"neighbors": func(i int) chat.Conversation {
			return chat.PairOf(1, chat.UserID(fmt.Sprint(1_000_000+2*i)), chat.UserID(fmt.Sprint(1_000_001+2*i)))
		},
		"named neighbors": func(i int) chat.Conversation {
			return chat.PairOf(1, chat.UserID(fmt.Sprint("u", 2*i)), chat.UserID(fmt.Sprint("u", 2*i+1)))
		},
		"one and all": func(i int) chat.Conversation { return chat.PairOf(1, "service", chat.UserID(fmt.Sprint("u", i))) },
		"groups":      func(i int) chat.Conversation { return chat.GroupOf(1, fmt.Sprint("g", 10*i)) },
	} {
		for _, n := range []int{2, 4, 7, 16, 32, 64} {
			counts := make([]int, n)
			for i := range pairs {
				counts[pair(i).Partition(n)]++
			}
			for p, got := range counts {
				if want := pairs / n; got < want/2 || got > want*2 {
					t.Errorf("%s: partition %d of %d has %d of %d conversations", name, p, n, got, pairs)
				}
			}
		}
	}
}
