package fanout

import (
	"slices"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
)

// framesOf makes one delivery for each revision, of a payload so large that two fit into a part and three do not.
func framesOf(revisions ...chat.Revision) []chat.Delivery {
	var all []chat.Delivery
	for _, r := range revisions {
		all = append(all, chat.Delivery{Revision: r, Payload: make([]byte, partBytes*2/5), Sessions: []chat.SessionID{1}})
	}
	return all
}

func TestPartsFitAndSayHowFarTheyServe(t *testing.T) {
	for name, c := range map[string]struct {
		push *chat.Push
		want []chat.Revision // what each part says
	}{
		"nothing to deliver":          {&chat.Push{To: 9}, []chat.Revision{9}},
		"it fits":                     {&chat.Push{To: 9, Deliveries: framesOf(3, 5)}, []chat.Revision{9}},
		"split between blocks":        {&chat.Push{To: 9, Deliveries: framesOf(3, 5, 8)}, []chat.Revision{7, 9}},
		"split within a block":        {&chat.Push{To: 9, Deliveries: framesOf(3, 5, 5)}, []chat.Revision{4, 9}},
		"the first block is split":    {&chat.Push{To: 1, Deliveries: framesOf(1, 1, 1, 1, 1)}, []chat.Revision{0, 0, 1}},
		"signals serve up to nowhere": {&chat.Push{Deliveries: framesOf(0, 0, 0)}, []chat.Revision{0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []chat.Revision
			n := 0
			for _, p := range parts(c.push) {
				got = append(got, p.To)
				n += len(p.Deliveries)
				if size := len(chat.AppendPush(nil, p)); size > partBytes {
					t.Errorf("a part has %d bytes, want %d at most", size, partBytes)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("the parts serve up to %v, want %v", got, c.want)
			}
			if n != len(c.push.Deliveries) {
				t.Errorf("the parts have %d deliveries, want %d", n, len(c.push.Deliveries))
			}
		})
	}
}
