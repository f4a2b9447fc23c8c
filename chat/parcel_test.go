package chat_test

import (
	"bytes"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
)

func TestParcelsComeBackAsTheyWere(t *testing.T) {
	want := [][]byte{[]byte("one"), {}, bytes.Repeat([]byte{7}, 300)}
	var parcel []byte
	for _, thing := range want {
		parcel = chat.AppendParcel(parcel, thing)
	}
	got, err := chat.DecodeParcel(parcel)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d things come back, %v", len(got), err)
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("thing %d is %x, want %x", i, got[i], want[i])
		}
	}
	for n := range parcel {
		if got, err := chat.DecodeParcel(parcel[:n]); err == nil && len(got) == len(want) {
			t.Errorf("%d of %d bytes are a whole parcel", n, len(parcel))
		}
	}
	if _, err := chat.DecodeParcel([]byte{99, 0}); err == nil {
		t.Error("a parcel of version 99 is read")
	}
}

func TestMailedRequestsKnowWhereTheirAnswerGoes(t *testing.T) {
	q := sampleRequest()
	q.Reply = "answer.X.7"
	got, err := chat.DecodeMailed(chat.AppendMailed(nil, q))
	if err != nil || got.Reply != q.Reply || got.Body != q.Body {
		t.Errorf("%+v comes back, %v", got, err)
	}
	for _, garbled := range [][]byte{nil, {200}, {1}, {0, 99}} {
		if _, err := chat.DecodeMailed(garbled); err == nil {
			t.Errorf("%x is read as a request", garbled)
		}
	}
}

// TestPositions checks that positions ascend with entries and in them, and tell whether their entry ends with them.
func TestPositions(t *testing.T) {
	for _, test := range []struct {
		at   chat.Position
		next uint64
	}{
		{0, 1},
		{500, 1},
		{chat.PositionOf(1, 2), 1},
		{chat.PositionOf(1, 1), 1},
		{chat.PositionOf(1, 0), 2},
		{chat.PositionOf(2, 0) - 1, 2},
		{chat.PositionOf(7, chat.MaxParcel-1), 7},
		{chat.PositionOf(7, chat.MaxParcel-1) - 1, 7},
	} {
		if got := test.at.Next(); got != test.next {
			t.Errorf("after position %d comes entry %d, want %d", test.at, got, test.next)
		}
	}
	if chat.PositionOf(1, 0) >= chat.PositionOf(2, chat.MaxParcel-1) || chat.PositionOf(2, 1) >= chat.PositionOf(2, 0) {
		t.Error("positions do not ascend")
	}
}
