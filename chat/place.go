package chat

import "strconv"

// Partition is the share of conversations whose token hashes to the same number; each partition has one log.
type Partition int

// String returns the decimal form, as it stands in subjects and keys.
func (p Partition) String() string { return strconv.Itoa(int(p)) }

// Revision numbers a block: the revision of its partition's key in the log's bucket. Revisions of all partitions are one sequence.
// Zero is before the first block.
type Revision uint64

// Seq is a message's number in its conversation: 1, 2, 3, … without a gap.
type Seq int64

// Place is a record's position in the log, unique and in commit order; clients see it as messageKey.
// It stays below 2^53, because clients hold it in a JavaScript number.
type Place int64

// MaxBlockRecords is how many records a block may hold: a place has room for 1,024 of them.
const MaxBlockRecords = 1024

// PlaceOf returns (base + revision) × 1024 + index: the place of a block's index-th record.
// The base is a constant of the log, kept with it, so that places go on when a log is begun anew.
func PlaceOf(base, rev Revision, index int) Place {
	return Place(uint64(base+rev)*MaxBlockRecords + uint64(index)) //nolint:gosec // index is below MaxBlockRecords, a revision below 2^43
}

// Revision returns the revision of the block that holds the place.
func (p Place) Revision(base Revision) Revision {
	return Revision(uint64(p)/MaxBlockRecords) - base //nolint:gosec // a place is never negative
}

// Index returns the record's index in its block.
func (p Place) Index() int { return int(p % MaxBlockRecords) }
