package chat_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// TestAQuestionIsBounded lets many users speak in many cold groups at once: each question has a part of what is lacking, nothing is asked
// twice, and a question that fails takes nothing else with it.
func TestAQuestionIsBounded(t *testing.T) {
	const requests = 2500
	now := time.UnixMilli(1_700_000_000_000)
	s := chat.NewSequencer(chat.SequencerConfig{Life: life})
	s.Vouch()
	offer := func(pos int) {
		user := chat.UserID(fmt.Sprint("u", pos))
		s.Offer(chat.Position(pos), &chat.Request{
			Kind: chat.AskMessage, Conversation: chat.GroupOf(1, fmt.Sprint("g", pos%250)), Sender: chat.Device{App: 1, User: user},
			MessageID: "m", Body: "x", Deadline: now.Add(time.Hour),
		}, now)
	}
	offer(1)
	s.Step(now)
	one, _ := s.Needs()
	s.Learn(one, chat.Facts{}, now, now)
	st := s.Step(now) // a block is in flight: what is offered now is asked for at once
	if st.Block == nil {
		t.Fatal("no block")
	}
	for pos := range requests {
		offer(pos + 2)
	}
	var questions []chat.Needs
	groups, users := make(map[chat.Conversation]int), make(map[chat.UserKey]int)
	for {
		n, ok := s.Needs()
		if !ok {
			break
		}
		questions = append(questions, n)
		if len(n.Groups) > 100 || len(n.Users) > 2000 {
			t.Errorf("a question has %d groups and %d users", len(n.Groups), len(n.Users))
		}
		for _, g := range n.Groups {
			groups[g]++
		}
		for _, u := range n.Users {
			users[u]++
		}
		if len(questions) == 1 {
			s.LookUpFailed(n)
		} else {
			s.Learn(n, chat.Facts{}, now, now)
		}
	}
	if len(questions) != 3 || len(groups) != 249 || len(users) != requests {
		t.Errorf("%d questions, for %d groups and %d users; want 3, 249 and %d", len(questions), len(groups), len(users), requests)
	}
	if _, err := s.Committed(1, now); err != nil {
		t.Fatal(err)
	}
	s.Step(now)
	for n, ok := s.Needs(); ok; n, ok = s.Needs() { // what the first question has left open
		for _, g := range n.Groups {
			groups[g]++
		}
		for _, u := range n.Users {
			users[u]++
		}
	}
	for i, g := range questions[0].Groups {
		if groups[g] != 2 || users[questions[0].Users[i]] != 2 {
			t.Fatalf("%s and %v were asked for %d and %d times, want twice", g, questions[0].Users[i], groups[g], users[questions[0].Users[i]])
		}
	}
	for _, g := range questions[1].Groups {
		if groups[g] != 1 {
			t.Errorf("%s was asked for %d times", g, groups[g])
		}
	}
}
