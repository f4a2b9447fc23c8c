package chat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Kind tells a pair from a group. The numbers are the wire's conversationType.
type Kind uint8

// The kinds of conversation.
const (
	Pair  Kind = 0
	Group Kind = 1
)

// Conversation identifies a conversation. It is comparable; the zero value is none.
type Conversation struct {
	App  AppID
	Kind Kind
	A    string // Pair: the lesser user id; Group: the group id
	B    string // Pair: the greater user id (the same as A when a user talks to himself)
}

// PairOf returns the conversation of two users, in whichever order they are given.
func PairOf(app AppID, x, y UserID) Conversation {
	a, b := string(x), string(y)
	if b < a {
		a, b = b, a
	}
	return Conversation{App: app, Kind: Pair, A: a, B: b}
}

// Peer returns the other user of a pair, and whether u belongs to the pair at all.
func (c Conversation) Peer(u UserID) (UserID, bool) {
	switch {
	case c.Kind != Pair:
		return "", false
	case c.A == string(u):
		return UserID(c.B), true
	case c.B == string(u):
		return UserID(c.A), true
	}
	return "", false
}

// String returns the conversation's token: "10001/p/alice/bob" or "10001/g/team". It is safe as one token of a NATS subject and
// as a key of a KV bucket: every byte of an id outside A-Z a-z 0-9 _ - is written as =XX.
func (c Conversation) String() string {
	return string(c.appendToken(make([]byte, 0, 128)))
}

func (c Conversation) appendToken(b []byte) []byte {
	b = strconv.AppendInt(b, int64(c.App), 10)
	if c.Kind == Group {
		return appendToken(append(b, "/g/"...), c.A)
	}
	b = appendToken(append(b, "/p/"...), c.A)
	return appendToken(append(b, '/'), c.B)
}

// Partition tells where the conversation's log is, of n: FNV-1a32(token), its upper half folded into the lower one by exclusive or, mod n. Without
// the fold the lowest bits would depend on the lowest bits of the token's bytes alone: of pairs with neighboring numbers for names, all would
// be in one partition of four. A log was written with one function for ever; see [Partitioning].
func (c Conversation) Partition(n int) Partition {
	hash := uint32(2166136261)
	for _, x := range c.appendToken(make([]byte, 0, 128)) {
		hash = (hash ^ uint32(x)) * 16777619
	}
	return Partition((hash ^ hash>>16) % uint32(n)) //nolint:gosec // n is the number of partitions, small and positive
}

// Partitioning names the function of [Conversation.Partition]. A log tells with which it was written.
const Partitioning = "fnv1a32-folded"

var errToken = errors.New("not a conversation token; want APP/p/USER/USER or APP/g/GROUP")

// ParseConversation is the inverse of [Conversation.String]. It also orders the users of a pair.
func ParseConversation(token string) (Conversation, error) {
	parts := strings.Split(token, "/")
	if len(parts) < 3 {
		return Conversation{}, fmt.Errorf("%q: %w", token, errToken)
	}
	app, err := strconv.ParseInt(parts[0], 10, 32)
	if err != nil {
		return Conversation{}, fmt.Errorf("%q: %w", token, errToken)
	}
	ids := make([]string, len(parts)-2)
	for i, p := range parts[2:] {
		if ids[i], err = ParseToken(p); err != nil || ids[i] == "" {
			return Conversation{}, fmt.Errorf("%q: %w", token, errToken)
		}
	}
	switch {
	case parts[1] == "p" && len(ids) == 2:
		return PairOf(AppID(app), UserID(ids[0]), UserID(ids[1])), nil
	case parts[1] == "g" && len(ids) == 1:
		return Conversation{App: AppID(app), Kind: Group, A: ids[0]}, nil
	}
	return Conversation{}, fmt.Errorf("%q: %w", token, errToken)
}

// Token writes an id so that it is safe within a subject or a key; [ParseToken] is its inverse.
func Token(id string) string { return string(appendToken(nil, id)) }

// ParseToken is the inverse of [Token].
func ParseToken(s string) (string, error) {
	if strings.IndexByte(s, '=') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errToken
		}
		x, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", errToken
		}
		b = append(b, byte(x))
		i += 2
	}
	return string(b), nil
}

func appendToken(b []byte, id string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(id) {
		c := id[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' {
			b = append(b, c)
		} else {
			b = append(b, '=', hex[c>>4], hex[c&15])
		}
	}
	return b
}
