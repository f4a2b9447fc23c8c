package chat

import "time"

// Position is a request's place in the ingress: the sequence number of its message in the ingress stream's present life.
type Position uint64

// Life names a memory stream's content between two losses of it. A position of another life is void.
type Life uint64

// Request is what a device asks of a conversation: decoded and authenticated by an edge, not yet judged.
type Request struct {
	Conversation Conversation
	Sender       Device // the connection's identity, never the frame's
	MessageID    string // the client's own id of the message
	Body         string
	Extra        string
	MessageTime  int64 // the client's own time in Unix milliseconds; 0: not given
	First        bool  // the client vouches that it has never sent this message before (protocol 3)
	Deadline     time.Time
}

// ID returns the identity of the message that is asked for.
func (r *Request) ID() ID { return IDOf(r.Conversation, r.Sender.User, r.MessageID) }
