package chat

import "time"

// Position is a request's place in the ingress: the sequence of its entry in the ingress stream's present life, × 1024, plus how many places
// its request is before the 1,024th. The last of an entry has 1023 there, so that a position tells whether its entry ends with it.
type Position uint64

// MaxParcel is how many requests an entry of the ingress holds at most.
const MaxParcel = 1024

// PositionOf returns the position of a request with so many after it in its entry.
func PositionOf(entry uint64, after int) Position {
	return Position(entry*MaxParcel + MaxParcel - 1 - uint64(after)) //nolint:gosec // below MaxParcel
}

// Next returns the first entry that may hold something after the position; entries begin at 1.
func (p Position) Next() uint64 { return max(1, (uint64(p)+1)/MaxParcel) }

// Life names a memory stream's content between two losses of it. A position of another life is void.
type Life uint64

// RequestKind tells what is asked for.
type RequestKind uint8

// The kinds of request.
const (
	AskMessage RequestKind = 1 // to say something
	AskRead    RequestKind = 2 // to move the reader's position forward
	AskRecall  RequestKind = 3 // to recall a message
	AskChange  RequestKind = 4 // to put into the log what Postgres has decided of a group
	AskSetting RequestKind = 5 // to set what the conversation is to its sender
)

// Request is what a device asks of a conversation: decoded and authenticated by an edge, not yet judged. A group's change comes from the
// outbox of Postgres instead.
type Request struct {
	Kind         RequestKind
	Conversation Conversation
	Sender       Device // the connection's identity, never the frame's; of a change only the user who made it, if it was one
	MessageID    string // the client's own id of the message, or of the recall
	Deadline     time.Time
	Reply        string // where somebody waits for the [Answer]; empty: nobody does. Only [AppendMailed] has it

	// Of a message.
	Body        string
	Extra       string
	MessageTime int64 // the client's own time in Unix milliseconds; 0: not given
	First       bool  // the client vouches that it has never sent this message before (protocol 3)

	Seq    Seq     // of a read: the newest message that was read; of a recall: the message's, 0 if the place is given
	Place  Place   // of a recall: the message's, 0 if the seq is given
	Named  UserID  // of a read: whose message the reader named; empty: nobody's
	Change *Change // of a change

	Setting *Setting // of a setting
}

// ID returns the identity of the message that is asked for.
func (r *Request) ID() ID { return IDOf(r.Conversation, r.Sender.User, r.MessageID) }
