package chat

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// ID is the identity of a message: (app, conversation, sender, the client's message id), as the first 16 bytes of a SHA-256.
// The same identity is the same message, for ever.
type ID [16]byte

// IDOf returns the identity of the message that sender calls messageID in conversation c.
func IDOf(c Conversation, sender UserID, messageID string) ID {
	b := make([]byte, 0, 256)
	b = binary.BigEndian.AppendUint32(b, uint32(c.App)) //nolint:gosec // bits, not a number
	b = append(b, byte(c.Kind))
	for _, s := range [...]string{c.A, c.B, string(sender), messageID} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

// String returns the identity in hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Digest is the SHA-256 of a message's body and extra. The log's chain covers the digest, not the body, so that an erased body leaves
// the chain whole.
type Digest [32]byte

// DigestOf returns the digest of a message's content.
func DigestOf(body, extra string) Digest {
	b := make([]byte, 0, 1024) // most fit, and then it is on the stack
	b = binary.BigEndian.AppendUint64(b, uint64(len(body)))
	b = append(b, body...)
	return sha256.Sum256(append(b, extra...))
}
