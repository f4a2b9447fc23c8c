package chat

import "encoding/binary"

// Filter is a Bloom filter of message identities: "no" is certain, "perhaps" is wrong about once in a thousand times a layer.
// It grows by layers, each twice the one before, so that nobody has to know beforehand how many identities there will be.
// An identity is already a cryptographic hash: its first 8 bytes are all that the filter looks at.
type Filter struct {
	layers []filterLayer
}

type filterLayer struct {
	bits []uint64
	free int // how many identities it still takes
}

const (
	filterHashes   = 10
	filterBitsEach = 16
	filterFirst    = 1 << 14 // identities in the first layer
)

// Prefix returns the part of an identity that a filter looks at.
func (id ID) Prefix() uint64 { return PrefixOf(id[:]) }

// PrefixOf reads a prefix from the first 8 bytes of an identity, as they are stored.
func PrefixOf(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// Add puts the identity with this prefix in.
func (f *Filter) Add(prefix uint64) {
	if f.Has(prefix) {
		return
	}
	n := len(f.layers)
	if n == 0 || f.layers[n-1].free == 0 {
		size := filterFirst << n
		f.layers = append(f.layers, filterLayer{bits: make([]uint64, size*filterBitsEach/64), free: size})
		n++
	}
	l := &f.layers[n-1]
	l.free--
	step, mask := prefix>>32|1, uint64(len(l.bits))*64-1
	for i := range uint64(filterHashes) {
		bit := (prefix + i*step) & mask
		l.bits[bit/64] |= 1 << (bit % 64)
	}
}

// Has reports whether the identity with this prefix may be in. A false is certain.
func (f *Filter) Has(prefix uint64) bool {
	for i := range f.layers {
		if f.layers[i].has(prefix) {
			return true
		}
	}
	return false
}

func (l *filterLayer) has(prefix uint64) bool {
	step, mask := prefix>>32|1, uint64(len(l.bits))*64-1
	for i := range uint64(filterHashes) {
		bit := (prefix + i*step) & mask
		if l.bits[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}
