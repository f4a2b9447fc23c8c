package chat

// RecordKind tells what happened. The numbers are part of the log's format.
type RecordKind uint8

// The kinds of record.
const (
	MessageRecord RecordKind = 1 // a message was placed
	RefusalRecord RecordKind = 2 // a request was refused; it holds identity and code, no body
)

// Record is what happened in a conversation. Its place follows from where it stands: see [PlaceOf].
type Record struct {
	Kind         RecordKind
	Conversation Conversation
	Sender       Device // the device that asked
	MessageID    string

	// Of a message.
	Seq         Seq
	MessageTime int64 // the client's own time in Unix milliseconds; 0: not given
	Digest      Digest
	Body        string // empty when Erased
	Extra       string
	Erased      bool // the body was erased after the commit; the digest stands

	// Of a refusal.
	Code Code
}

// ID returns the identity of the message that the record is about.
func (r *Record) ID() ID { return IDOf(r.Conversation, r.Sender.User, r.MessageID) }

// Signal is something that passes and is never in the log. The sequencer and the edges send it to the fan-out of its partition.
type Signal struct {
	Kind         SignalKind
	Conversation Conversation
	From         Device // Received: the receiving device; Repeat: the device that sent again
	MessageID    string
	Seq          Seq
	Place        Place

	// Of a Repeat: the message as it was placed, so that it can be pushed once more.
	MessageTime int64
	Body        string
	Extra       string
}

// SignalKind tells what a signal says.
type SignalKind uint8

// The kinds of signal.
const (
	Received SignalKind = 1 // a receiver's device has the message (command 1107)
	Repeat   SignalKind = 2 // a stored message was sent again: its acks are due once more
)
