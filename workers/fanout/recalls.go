package fanout

import "github.com/whaleshark-im/whaleshark/chat"

// recallLimit is how many recalled messages are remembered.
const recallLimit = 1 << 14

// recalls remembers which messages were recalled of late: a repeat that was on its way then still holds the body.
type recalls struct {
	places map[chat.Place]bool
	ring   []chat.Place
	next   int
}

func newRecalls() *recalls {
	return &recalls{places: make(map[chat.Place]bool), ring: make([]chat.Place, recallLimit)}
}

func (r *recalls) add(p chat.Place) {
	if r.places[p] {
		return
	}
	delete(r.places, r.ring[r.next])
	r.ring[r.next] = p
	r.next = (r.next + 1) % recallLimit
	r.places[p] = true
}

func (r *recalls) has(p chat.Place) bool { return r.places[p] }
