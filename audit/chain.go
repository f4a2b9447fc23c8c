package audit

import (
	"fmt"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// chain is how far the blocks of each partition were followed.
type chain map[chat.Partition]chat.Mark

// follow reads an entry, which has to be the next of its partition, and moves on to it.
func (c chain) follow(base chat.Revision, raw streams.RawEntry) (*chat.Block, error) {
	fault := func(format string, args ...any) error {
		return &Fault{Partition: raw.Partition, Revision: raw.Revision, What: fmt.Sprintf(format, args...)}
	}
	tail := c[raw.Partition]
	block, err := chat.DecodeBlockAfter(raw.Data, tail.Hash)
	if err != nil {
		return nil, garbled(base, raw, err)
	}
	switch {
	case block.Partition != raw.Partition:
		return nil, fault("the block says that it is of partition %d", block.Partition)
	case block.Prev != tail.Revision:
		return nil, fault("the block follows revision %d, but the one before it is %d", block.Prev, tail.Revision)
	}
	c[raw.Partition] = chat.Mark{Revision: raw.Revision, Hash: block.Hash}
	return block, nil
}

// garbled names the message whose body is another, if the block can be read and has one; otherwise the whole block is at fault.
func garbled(base chat.Revision, raw streams.RawEntry, cause error) error {
	if block, err := chat.DecodeBlock(raw.Data); err == nil {
		for i := range block.Records {
			r := &block.Records[i]
			if r.Kind == chat.MessageRecord && !r.Erased && chat.DigestOf(r.Body, r.Extra) != r.Digest {
				e := expected{raw.Partition, raw.Revision, chat.PlaceOf(base, raw.Revision, i), *r}
				return e.fault("the body does not fit its digest")
			}
		}
	}
	return &Fault{Partition: raw.Partition, Revision: raw.Revision, What: cause.Error()}
}
