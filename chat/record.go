package chat

// RecordKind tells what happened. The numbers are part of the log's format.
type RecordKind uint8

// The kinds of record.
const (
	MessageRecord       RecordKind = 1 // a message was placed
	RefusalRecord       RecordKind = 2 // a message was refused; it holds identity and code, no body
	ReadRecord          RecordKind = 3 // somebody has read up to a seq
	RecallRecord        RecordKind = 4 // a message was recalled
	RecallRefusalRecord RecordKind = 5 // a recall was refused
	GroupRecord         RecordKind = 6 // a group has changed: its members, their roles, who may speak
	SettingRecord       RecordKind = 7 // a user has muted or unmuted the conversation for himself, put it to the top, or deleted what he has of it
)

// Record is what happened in a conversation. Its place follows from where it stands: see [PlaceOf].
type Record struct {
	Kind         RecordKind
	Conversation Conversation
	Sender       Device // the device that asked; of a group's change only the user who made it, if it was one
	MessageID    string // the client's own id of the message, or of the recall; of a read, a setting and a group's change: empty

	// Of a message its number; of a read the newest message that was read; of a recall, or its refusal, the message's (a refusal: as asked).
	Seq Seq

	// Of a message.
	MessageTime int64 // the client's own time in Unix milliseconds; 0: not given
	Digest      Digest
	Body        string // empty when Erased
	Extra       string
	Erased      bool   // the body was erased after the commit; the digest stands
	Asked       Digest // of what the sender asked to say, if the app had it replaced; the zero digest: it was not

	Code   Code    // of a refusal
	Read   *Read   // of a read
	Recall *Recall // of a recall; of its refusal the place alone, as asked
	Change *Change // of a group's change

	Setting *Setting // of a setting: the sender's own
}

// Read is what a read's record holds beside the reader (the sender) and the seq.
type Read struct {
	From  Seq    // the position before: what was read is above it
	Named UserID // whose message the reader named; empty: nobody's
}

// Recall is what a recall's record holds beside who recalls and the seq: the message's whole identity.
type Recall struct {
	Place     Place // of the message
	Sender    UserID
	MessageID string
}

// ID returns the identity of the message that the record is about: the one placed or refused, or the one recalled.
func (r *Record) ID() ID {
	if r.Kind == RecallRecord {
		return IDOf(r.Conversation, r.Recall.Sender, r.Recall.MessageID)
	}
	return IDOf(r.Conversation, r.Sender.User, r.MessageID)
}

// Replaced reports whether a message says something else than its sender has asked for.
func (r *Record) Replaced() bool { return r.Asked != Digest{} }

// AskedFor returns the digest of what a message's sender has asked for.
func (r *Record) AskedFor() Digest {
	if r.Replaced() {
		return r.Asked
	}
	return r.Digest
}

// replace puts something else into a message; if it is the same, nothing has happened.
func (r *Record) replace(body, extra string) {
	asked := r.Digest
	r.Body, r.Extra, r.Digest = body, extra, DigestOf(body, extra)
	if r.Digest != asked {
		r.Asked = asked
	}
}

// Signal is something that passes and is never in the log. The sequencer and the edges send it to the fan-out of its partition.
type Signal struct {
	Kind         SignalKind
	Conversation Conversation
	From         Device // Received: the receiving device; Repeat: the device that sent again; Typing: the device that is typed on
	MessageID    string
	Seq          Seq
	Place        Place

	// Of a Repeat: the message as it was placed, so that it can be pushed once more.
	MessageTime int64
	Body        string
	Extra       string
	Recalled    bool // it was recalled since, or an app has replaced what it said: body and extra are empty, and nothing is pushed
}

// SignalKind tells what a signal says.
type SignalKind uint8

// The kinds of signal.
const (
	Received SignalKind = 1 // a receiver's device has the message (command 1107)
	Repeat   SignalKind = 2 // a stored message was sent again: its acks are due once more
	Typing   SignalKind = 3 // somebody is typing
)
