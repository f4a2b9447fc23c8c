package chat_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
)

var rewrite = flag.Bool("update", false, "rewrite the golden files of the codec")

var alice = chat.Device{App: 10001, User: "alice", Client: chat.Web, IMEI: "web"}

func sampleBlock() *chat.Block {
	pair := chat.PairOf(10001, "alice", "bob")
	return &chat.Block{
		Partition:  3,
		Prev:       41,
		Time:       time.UnixMilli(1_700_000_000_123),
		Checkpoint: chat.Checkpoint{Life: 99, Low: 7, Above: []chat.Position{9, 12}},
		Records: []chat.Record{
			{
				Kind: chat.MessageRecord, Conversation: pair, Sender: alice, MessageID: "m1", Seq: 1, MessageTime: 5,
				Digest: chat.DigestOf("hi", "x"), Body: "hi", Extra: "x",
			},
			{Kind: chat.RefusalRecord, Conversation: pair, Sender: alice, MessageID: "m2", Code: chat.RelationMissing},
			{
				Kind: chat.MessageRecord, Conversation: pair, Sender: alice, MessageID: "m3", Seq: 2,
				Digest: chat.DigestOf("gone", ""), Erased: true,
			},
		},
	}
}

// sampleOtherBlock has a record of each kind that [sampleBlock] lacks.
func sampleOtherBlock() *chat.Block {
	pair, group := chat.PairOf(10001, "alice", "bob"), chat.GroupOf(10001, "team")
	return &chat.Block{
		Partition: 3, Prev: 42, Time: time.UnixMilli(1_700_000_000_456), Checkpoint: chat.Checkpoint{Life: 99, Low: 20},
		Records: []chat.Record{
			{Kind: chat.ReadRecord, Conversation: pair, Sender: alice, Seq: 9, Read: &chat.Read{From: 7, Named: "bob"}},
			{
				Kind: chat.RecallRecord, Conversation: pair, Sender: alice, MessageID: "r1", Seq: 1,
				Recall: &chat.Recall{Place: 43008, Sender: "alice", MessageID: "m1"},
			},
			{
				Kind: chat.RecallRefusalRecord, Conversation: pair, Sender: alice, MessageID: "r2", Recall: &chat.Recall{Place: 43009},
				Code: chat.NotYours,
			},
			{
				Kind: chat.GroupRecord, Conversation: group, Sender: chat.Device{App: 10001, User: "alice"},
				Change: &chat.Change{Kind: chat.MembersJoined, Version: 2, Users: []chat.UserID{"bob", "carol"}, Role: chat.Manager},
			},
			{
				Kind: chat.GroupRecord, Conversation: group,
				Change: &chat.Change{Kind: chat.MemberMuted, Version: 3, Users: []chat.UserID{"bob"}, Until: 1_700_000_000_000},
			},
			{Kind: chat.GroupRecord, Conversation: group, Change: &chat.Change{Kind: chat.GroupMuted, Version: 4, On: true}},
		},
	}
}

// sampleReplacedBlock has messages that say something else than was asked for.
func sampleReplacedBlock() *chat.Block {
	pair := chat.PairOf(10001, "alice", "bob")
	asked := chat.DigestOf("oh, hell", "x")
	return &chat.Block{
		Partition: 3, Prev: 43, Time: time.UnixMilli(1_700_000_000_789), Checkpoint: chat.Checkpoint{Life: 99, Low: 21},
		Records: []chat.Record{
			{
				Kind: chat.MessageRecord, Conversation: pair, Sender: alice, MessageID: "m4", Seq: 3, MessageTime: 5,
				Digest: chat.DigestOf("oh, ****", ""), Body: "oh, ****", Asked: asked,
			},
			{
				Kind: chat.MessageRecord, Conversation: pair, Sender: alice, MessageID: "m5", Seq: 4,
				Digest: chat.DigestOf("****", ""), Erased: true, Asked: asked,
			},
		},
	}
}

func sampleVerdict() chat.HookVerdict {
	return chat.HookVerdict{Kind: chat.HookReplaced, Body: "oh, ****", Extra: "x"}
}

func sampleRequest() *chat.Request {
	return &chat.Request{
		Kind: chat.AskMessage, Conversation: chat.PairOf(10001, "alice", "bob"), Sender: alice, MessageID: "m1", Body: "hi", Extra: "x", MessageTime: 5,
		First: true, Deadline: time.UnixMilli(1_700_000_000_123),
	}
}

func sampleSignal() *chat.Signal {
	return &chat.Signal{
		Kind: chat.Repeat, Conversation: chat.PairOf(10001, "alice", "bob"), From: alice, MessageID: "m1", Seq: 4, Place: 5120,
		MessageTime: 5, Body: "hi", Extra: "x",
	}
}

func sampleAnswer() chat.Answer {
	return chat.Answer{Kind: chat.AskMessage, Code: chat.RelationMissing, MessageID: "m1", Seq: 4, Place: 5120}
}

func samplePush() *chat.Push {
	return &chat.Push{Partition: 2, To: 17, Deliveries: []chat.Delivery{
		{Revision: 16, Command: 1103, Payload: []byte(`{"a":1}`), Sessions: []chat.SessionID{1, 300}},
		{Command: 1107, Payload: []byte(`{}`), Sessions: []chat.SessionID{}},
	}}
}

// TestGoldenForms holds the binary forms against files: what is in a log must be readable for as long as the log is kept.
func TestGoldenForms(t *testing.T) {
	golden := func(name string, got []byte) {
		t.Helper()
		path := filepath.Join("testdata", "golden", name+".hex")
		if *rewrite {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(got); got != strings.TrimSpace(string(want)) {
			t.Errorf("%s is encoded as\n%s, want\n%s", name, got, want)
		}
	}
	golden("block", chat.AppendBlock(nil, sampleBlock(), chat.Hash{1, 2, 3}))
	golden("block_other", chat.AppendBlock(nil, sampleOtherBlock(), chat.Hash{1, 2, 3}))
	golden("block_info", chat.AppendBlock(nil, sampleInfoBlock(), chat.Hash{1, 2, 3}))
	golden("request_setting", chat.AppendRequest(nil, sampleSettingRequest()))
	golden("request_info", chat.AppendRequest(nil, sampleInfoRequest()))
	golden("block_replaced", chat.AppendBlock(nil, sampleReplacedBlock(), chat.Hash{1, 2, 3}))
	golden("request", chat.AppendRequest(nil, sampleRequest()))
	golden("mailed", chat.AppendParcel(chat.AppendParcel(nil, chat.AppendMailed(nil, sampleRequest())), []byte{1, 2}))
	golden("signal", chat.AppendSignal(nil, sampleSignal()))
	golden("push", chat.AppendPush(nil, samplePush()))
	answer := sampleAnswer()
	golden("answer", chat.AppendAnswer(nil, &answer))
	verdict := sampleVerdict()
	golden("verdict", chat.AppendHookVerdict(nil, &verdict))
}

func TestFormsComeBackAsTheyWere(t *testing.T) {
	block := sampleBlock()
	b := chat.AppendBlock(nil, block, chat.Hash{1})
	gotBlock, err := chat.DecodeBlockAfter(b, chat.Hash{1})
	if err != nil {
		t.Fatal(err)
	}
	skimmed, err := chat.SkimBlockAfter(b, chat.Hash{1})
	if err != nil {
		t.Fatal(err)
	}
	other := sampleOtherBlock()
	gotOther, err := chat.DecodeBlockAfter(chat.AppendBlock(nil, other, chat.Hash{1}), chat.Hash{1})
	if err != nil {
		t.Fatal(err)
	}
	info := sampleInfoBlock()
	gotInfo, err := chat.DecodeBlockAfter(chat.AppendBlock(nil, info, chat.Hash{1}), chat.Hash{1})
	if err != nil {
		t.Fatal(err)
	}
	replaced := sampleReplacedBlock()
	gotReplaced, err := chat.DecodeBlockAfter(chat.AppendBlock(nil, replaced, chat.Hash{1}), chat.Hash{1})
	if err != nil {
		t.Fatal(err)
	}
	gotRequest, err := chat.DecodeRequest(chat.AppendRequest(nil, sampleRequest()))
	if err != nil {
		t.Fatal(err)
	}
	gotSetting, err := chat.DecodeRequest(chat.AppendRequest(nil, sampleSettingRequest()))
	if err != nil {
		t.Fatal(err)
	}
	gotInfoRequest, err := chat.DecodeRequest(chat.AppendRequest(nil, sampleInfoRequest()))
	if err != nil {
		t.Fatal(err)
	}
	gotSignal, err := chat.DecodeSignal(chat.AppendSignal(nil, sampleSignal()))
	if err != nil {
		t.Fatal(err)
	}
	gotPush, err := chat.DecodePush(chat.AppendPush(nil, samplePush()))
	if err != nil {
		t.Fatal(err)
	}
	answer := sampleAnswer()
	gotAnswer, err := chat.DecodeAnswer(chat.AppendAnswer(nil, &answer))
	if err != nil {
		t.Fatal(err)
	}
	verdict := sampleVerdict()
	gotVerdict, err := chat.DecodeHookVerdict(chat.AppendHookVerdict(nil, &verdict))
	if err != nil {
		t.Fatal(err)
	}
	for name, diff := range map[string]string{
		"answer":   cmp.Diff(answer, gotAnswer),
		"verdict":  cmp.Diff(verdict, gotVerdict),
		"replaced": cmp.Diff(replaced, gotReplaced),
		"block":    cmp.Diff(block, gotBlock),
		"skimmed":  cmp.Diff(block, skimmed),
		"other":    cmp.Diff(other, gotOther),
		"info":     cmp.Diff(info, gotInfo),
		"set":      cmp.Diff(sampleSettingRequest(), gotSetting),
		"change":   cmp.Diff(sampleInfoRequest(), gotInfoRequest),
		"request":  cmp.Diff(sampleRequest(), gotRequest),
		"signal":   cmp.Diff(sampleSignal(), gotSignal),
		"push":     cmp.Diff(samplePush(), gotPush),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestAFlippedBitIsFound flips each bit of a block in turn: decoding it after its predecessor must fail, or yield the same block.
func TestAFlippedBitIsFound(t *testing.T) {
	for _, block := range []*chat.Block{sampleBlock(), sampleReplacedBlock()} {
		flipBits(t, block)
	}
}

func flipBits(t *testing.T, block *chat.Block) {
	t.Helper()
	prev := chat.Hash{1}
	good := chat.AppendBlock(nil, block, prev)
	want, err := chat.DecodeBlockAfter(good, prev)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			got, err := chat.DecodeBlockAfter(bad, prev)
			if err == nil && cmp.Diff(want, got) != "" && !erasureFlag(want, got) {
				t.Fatalf("byte %d, bit %d: a garbled block was taken for a good one", i, bit)
			}
		}
	}
}

// erasureFlag reports whether the blocks differ in nothing but an erased body: that alone the chain allows.
func erasureFlag(want, got *chat.Block) bool {
	for i := range want.Records {
		want.Records[i].Erased, got.Records[i].Erased = false, false
		want.Records[i].Body, got.Records[i].Body = "", ""
		want.Records[i].Extra, got.Records[i].Extra = "", ""
	}
	return cmp.Diff(want, got) == ""
}

func FuzzDecode(f *testing.F) {
	f.Add(chat.AppendBlock(nil, sampleBlock(), chat.Hash{}))
	f.Add(chat.AppendBlock(nil, sampleOtherBlock(), chat.Hash{}))
	f.Add(chat.AppendBlock(nil, sampleReplacedBlock(), chat.Hash{}))
	f.Add(chat.AppendBlock(nil, sampleInfoBlock(), chat.Hash{}))
	f.Add(chat.AppendRequest(nil, sampleSettingRequest()))
	f.Add(chat.AppendRequest(nil, sampleRequest()))
	f.Add(chat.AppendRequest(nil, &chat.Request{Kind: chat.AskChange, Conversation: chat.GroupOf(1, "g"), Change: sampleOtherBlock().Records[3].Change}))
	f.Add(chat.AppendSignal(nil, sampleSignal()))
	f.Add(chat.AppendPush(nil, samplePush()))
	f.Add(chat.AppendParcel(nil, chat.AppendMailed(nil, sampleRequest())))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := chat.DecodeRequest(b); err == nil {
			again, err := chat.DecodeRequest(chat.AppendRequest(nil, q))
			if err != nil || cmp.Diff(q, again) != "" {
				t.Errorf("request %+v came back as %+v, %v", q, again, err)
			}
		}
		if s, err := chat.DecodeSignal(b); err == nil {
			again, err := chat.DecodeSignal(chat.AppendSignal(nil, s))
			if err != nil || cmp.Diff(s, again) != "" {
				t.Errorf("signal %+v came back as %+v, %v", s, again, err)
			}
		}
		if p, err := chat.DecodePush(b); err == nil {
			if _, err := chat.DecodePush(chat.AppendPush(nil, p)); err != nil {
				t.Errorf("push %+v does not come back: %v", p, err)
			}
		}
		if k, err := chat.DecodeBlock(b); err == nil {
			if skimmed, err := chat.SkimBlock(b); err != nil || cmp.Diff(k, skimmed) != "" {
				t.Errorf("block %+v is skimmed as %+v, %v", k, skimmed, err)
			}
			if _, err := chat.DecodeBlock(chat.AppendBlock(nil, k, chat.Hash{})); err != nil {
				t.Errorf("block %+v does not come back: %v", k, err)
			}
		}
		if things, err := chat.DecodeParcel(b); err == nil {
			for _, thing := range things {
				if q, err := chat.DecodeMailed(thing); err == nil && cmp.Diff(q, mailedAgain(t, q)) != "" {
					t.Errorf("request %+v does not come back", q)
				}
			}
		}
	})
}

func FuzzConversation(f *testing.F) {
	f.Add("10001/p/alice/bob", "a.b", "=")
	f.Fuzz(func(t *testing.T, token, x, y string) {
		if c, err := chat.ParseConversation(token); err == nil {
			if again, err := chat.ParseConversation(c.String()); err != nil || again != c {
				t.Errorf("%q is %v, which comes back as %v, %v", token, c, again, err)
			}
		}
		if x == "" || y == "" {
			return
		}
		c := chat.PairOf(7, chat.UserID(x), chat.UserID(y))
		s := c.String()
		if strings.ContainsAny(s, ". *>\x00") {
			t.Errorf("%q is no token of a subject", s)
		}
		if got, err := chat.ParseConversation(s); err != nil || got != c {
			t.Errorf("%v is %q, which comes back as %v, %v", c, s, got, err)
		}
	})
}

func TestRendezvousMovesLittle(t *testing.T) {
	nodes := []chat.NodeID{"a", "b", "c"}
	moved, counts := 0, make(map[chat.NodeID]int)
	const partitions = 1000
	for p := range chat.Partition(partitions) {
		before, _ := chat.Rendezvous(p, nodes)
		after, _ := chat.Rendezvous(p, []chat.NodeID{"c", "a"})
		counts[before]++
		if before != after && before != "b" {
			moved++
		}
	}
	if moved != 0 {
		t.Errorf("%d partitions moved that were not b's", moved)
	}
	for n, k := range counts {
		if k < partitions/5 {
			t.Errorf("%s has %d of %d partitions", n, k, partitions)
		}
	}
	if _, ok := chat.Rendezvous(0, nil); ok {
		t.Error("nobody owns a partition")
	}
}

func TestFilterNeverForgets(t *testing.T) {
	var f chat.Filter
	ids := make([]uint64, 100_000)
	for i := range ids {
		ids[i] = chat.IDOf(chat.PairOf(1, "a", "b"), "a", string(rune(i))).Prefix() + uint64(i)<<20
		f.Add(ids[i])
	}
	for _, x := range ids {
		if !f.Has(x) {
			t.Fatalf("%x was added and is denied", x)
		}
	}
	wrong := 0
	for i := range 100_000 {
		if f.Has(chat.IDOf(chat.PairOf(2, "c", "d"), "c", string(rune(i))).Prefix()) {
			wrong++
		}
	}
	if wrong > 1000 {
		t.Errorf("%d of 100,000 unknown identities were not denied, want about 100", wrong)
	}
}

func mailedAgain(t *testing.T, q *chat.Request) *chat.Request {
	t.Helper()
	again, err := chat.DecodeMailed(chat.AppendMailed(nil, q))
	if err != nil {
		t.Errorf("request %+v does not come back: %v", q, err)
	}
	return again
}
