//go:build !race

package chat_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// hot is a piece of code that runs for each message or each block, and how often it may allocate.
type hot struct {
	name string
	want float64
	run  func()
}

// hotPieces returns them; blocks and pushes are of 100 messages of 200 bytes.
func hotPieces() []hot {
	const messages = 100
	pair, body := chat.PairOf(10001, "alice", "bob"), string(make([]byte, 200))
	request := chat.Request{
		Kind: chat.AskMessage, Conversation: pair, Sender: alice, MessageID: "m1", Body: body, Deadline: time.UnixMilli(1_700_000_000_000),
	}
	block := &chat.Block{Partition: 3, Prev: 41, Time: time.UnixMilli(1_700_000_000_123), Checkpoint: chat.Checkpoint{Life: 99, Low: 7}}
	push := &chat.Push{Partition: 3, To: 42}
	for i := range messages {
		block.Records = append(block.Records, chat.Record{
			Kind: chat.MessageRecord, Conversation: pair, Sender: alice, MessageID: fmt.Sprint("m", i), Seq: chat.Seq(i + 1),
			Digest: chat.DigestOf(body, ""), Body: body,
		})
		push.Deliveries = append(push.Deliveries, chat.Delivery{
			Revision: 42, Command: 1103, Payload: []byte(body), Sessions: []chat.SessionID{7, 8},
		})
	}
	asked := chat.AppendRequest(nil, &request)
	committed := chat.AppendBlock(nil, block, chat.Hash{})
	pushed := chat.AppendPush(nil, push)
	out := make([]byte, 0, 1<<20)
	judge := judging()
	return []hot{
		{"encode a request", 0, func() { chat.AppendRequest(out, &request) }},
		{"decode a request", 7, func() { _, _ = chat.DecodeRequest(asked) }},
		{"judge and place 1000 messages (2 each are the test's)", 3150, judge},
		{"encode a block", 2, func() { chat.AppendBlock(out, block, chat.Hash{}) }},
		{"decode a block", 605, func() { _, _ = chat.DecodeBlock(committed) }},
		{"skim a block", 4, func() { _, _ = chat.SkimBlock(committed) }},
		{"encode a push", 0, func() { chat.AppendPush(out, push) }},
		{"decode a push", 102, func() { _, _ = chat.DecodePush(pushed) }},
		{"write a conversation's token", 1, func() { _ = pair.String() }},
		{"find its partition", 0, func() { _ = pair.Partition(4) }},
		{"work out an identity", 0, func() { _ = chat.IDOf(pair, "alice", "m1") }},
		{"work out a digest", 0, func() { _ = chat.DigestOf(body, "") }},
	}
}

// judging returns what lets a sequencer judge 1,000 messages between users it knows, block by block.
func judging() func() {
	const batch, users = 1000, 100
	s := chat.NewSequencer(chat.SequencerConfig{Life: life})
	s.Vouch()
	now := time.UnixMilli(1_700_000_000_000)
	position, revision := chat.Position(0), chat.Revision(0)
	facts := chat.Facts{Apps: map[chat.AppID]chat.App{1: {ID: 1}}, Users: make(map[chat.UserKey]chat.User)}
	senders := make([]chat.UserID, users)
	for i := range senders {
		senders[i] = chat.UserID(fmt.Sprint("u", i))
		facts.Users[chat.UserKey{App: 1, User: senders[i]}] = chat.User{}
	}
	return func() {
		for i := range batch {
			position++
			from := senders[i%users]
			s.Offer(position, &chat.Request{
				Kind: chat.AskMessage, Conversation: chat.PairOf(1, from, "u0"), Sender: chat.Device{App: 1, User: from},
				MessageID: strconv.FormatUint(uint64(position), 10), Body: "hello", Deadline: now.Add(time.Second),
			}, now)
		}
		for s.Waiting() > 0 {
			if st := s.Step(now); st.Block != nil {
				revision++
				if _, err := s.Committed(revision, now); err != nil {
					panic(err)
				}
			} else if n, ok := s.Needs(); ok {
				s.Learn(n, facts, now, now)
			}
		}
		now = now.Add(time.Millisecond)
		s.Persisted(revision, now)
	}
}

// How often the pieces allocate is counted, not timed: a change that makes them allocate more is seen on any machine.
func TestAllocations(t *testing.T) {
	for _, h := range hotPieces() {
		if got := testing.AllocsPerRun(30, h.run); got > h.want {
			t.Errorf("%s allocates %v times; want at most %v", h.name, got, h.want)
		}
	}
}

// BenchmarkHot times the same pieces.
func BenchmarkHot(b *testing.B) {
	for _, h := range hotPieces() {
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.run()
			}
		})
	}
}
