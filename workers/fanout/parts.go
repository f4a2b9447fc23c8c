package fanout

import "github.com/whaleshark-im/whaleshark/chat"

// partBytes is how large a push may be, about: half of what a broker takes in one message by default. A single frame may be larger, but
// never half as large again.
const partBytes = 512 << 10

// parts splits a push that is too large for one message. They must be handed over one after the other: each says how far the edge is served
// once it has delivered it, and nothing that comes later is from below that. When a block itself is split, only its last part says that
// it is served; an owner that takes over in between hands the whole block out again.
func parts(p *chat.Push) []*chat.Push {
	var all []*chat.Push
	first, size := 0, 0
	for i := range p.Deliveries {
		d := &p.Deliveries[i]
		n := len(d.Payload) + 5*len(d.Sessions) + 16
		if size > 0 && size+n > partBytes {
			part := &chat.Push{Partition: p.Partition, Deliveries: p.Deliveries[first:i]}
			if p.To != 0 && d.Revision != 0 {
				part.To = min(p.To, d.Revision-1)
			}
			all = append(all, part)
			first, size = i, 0
		}
		size += n
	}
	return append(all, &chat.Push{Partition: p.Partition, To: p.To, Deliveries: p.Deliveries[first:]})
}
