package chat

import "time"

// What history reads of a conversation: from Postgres up to the marks, and from the log after them.

// Item is a record with where and when it was placed. Of a read and of a setting the time, the device and what it moved from are not kept.
type Item struct {
	Place    Place
	Time     time.Time // of its block
	Record   Record
	Recalled bool // a message that was recalled since: body and extra are empty
}

// Talk is one of a user's conversations, as Postgres has it.
type Talk struct {
	Number       int64 // Postgres's own number of the conversation
	Conversation Conversation
	Head         Seq
	Changed      Place        // of the newest record that is news to the user
	Version      int64        // of a group, of its newest change …
	VersionAt    Place        // … and where that stands
	Destroyed    bool         // of a group
	Stays        []Membership // of the user in a group, ascending
	Read         Seq          // the user's read position
	PeerRead     Seq          // of a pair, the other user's
	Settings     Settings     // the user's own
}

// Span is a conversation's records that are a user's to see: those with After < place < Before.
type Span struct {
	Number        int64 // Postgres's own number of the conversation
	Conversation  Conversation
	After, Before Place
	Seq           Seq // of messages: those above it
}
