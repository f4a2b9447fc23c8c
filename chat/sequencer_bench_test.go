package chat_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// BenchmarkPairMessage is what the rule costs a message between two known users, in full blocks.
func BenchmarkPairMessage(b *testing.B) {
	const batch = 1000
	s := chat.NewSequencer(chat.SequencerConfig{Life: life})
	s.Vouch()
	now := time.UnixMilli(1_700_000_000_000)
	position, revision := chat.Position(0), chat.Revision(0)
	facts := chat.Facts{Apps: map[chat.AppID]chat.App{1: {ID: 1}}, Users: make(map[chat.UserKey]chat.User)}
	for i := range 100 {
		facts.Users[chat.UserKey{App: 1, User: chat.UserID(fmt.Sprint("u", i))}] = chat.User{}
	}
	b.ReportAllocs()
	for done := 0; done < b.N; done += batch {
		for i := range batch {
			position++
			from := chat.UserID(fmt.Sprint("u", i%100))
			s.Offer(position, &chat.Request{
				Kind: chat.AskMessage, Conversation: chat.PairOf(1, from, "u0"), Sender: chat.Device{App: 1, User: from},
				MessageID: fmt.Sprint(position), Body: "hello", Deadline: now.Add(time.Second),
			}, now)
		}
		for s.Waiting() > 0 {
			if st := s.Step(now); st.Block != nil {
				revision++
				if _, err := s.Committed(revision, now); err != nil {
					b.Fatal(err)
				}
			} else if n, ok := s.Needs(); ok {
				s.Learn(n, facts, now, now)
			}
		}
		now = now.Add(time.Millisecond)
		s.Persisted(revision, now)
	}
}
