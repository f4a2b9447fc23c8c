package edge

import (
	"errors"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// refusal is a frame, or what it has asked for, that is refused.
type refusal struct {
	command   wire.Command
	err       chat.Error
	messageID string     // of a question for history its request id
	seq       chat.Seq   // of a recall
	place     chat.Place // of a recall
}

// step is the one place that tells how a refusal is answered, except that of a login: what has an answer of its own by that, in every
// version; any other frame by an error frame if the client knows those, and not at all otherwise.
func (r *refusal) step(protocol int32) step {
	st := step{refused: r.err.Code}
	code, reason := r.err.Code, r.err.Reason
	switch r.command {
	case wire.Send:
		st.answer = local(wire.SendAck, wire.AppendAck(nil, &wire.Ack{Code: code, Reason: reason, MessageID: r.messageID}))
	case wire.GroupSend:
		st.answer = local(wire.GroupSendAck, wire.AppendAck(nil, &wire.Ack{Code: code, Reason: reason, MessageID: r.messageID}))
	case wire.Recall:
		st.answer = local(wire.RecallAck, wire.AppendRecallAnswer(nil, &wire.RecallAnswer{
			Code: code, Reason: reason, Place: r.place, Seq: r.seq, MessageID: r.messageID,
		}))
	case wire.Changes:
		st.answer = local(r.command, wire.AppendChangesPage(nil, &wire.ChangesPage{Code: code, Reason: reason, RequestID: r.messageID}))
	case wire.History:
		st.answer = local(r.command, wire.AppendHistoryPage(nil, &wire.HistoryPage{Code: code, Reason: reason, RequestID: r.messageID}))
	case wire.Pull:
		st.answer = local(r.command, wire.AppendPullPage(nil, &wire.PullPage{Code: code, Reason: reason, RequestID: r.messageID}))
	case wire.Watch:
		st.answer = local(wire.Watch, wire.AppendWatching(nil, &wire.Watching{Code: code, Reason: reason}))
	default:
		if protocol < wire.Version3 {
			st.dropped = code.String()
			break
		}
		st.answer = local(wire.Refuse, wire.AppendRefusal(nil, &wire.Refusal{Code: code, Reason: reason, Command: r.command}))
	}
	return st
}

// refusalOf refuses a request that was handed on.
func refusalOf(q *chat.Request, err chat.Error) *refusal {
	r := &refusal{err: err, messageID: q.MessageID}
	switch q.Kind {
	case chat.AskRead:
		r.command = wire.OfKind(q.Conversation.Kind, wire.Read, wire.GroupRead)
	case chat.AskRecall:
		r.command, r.seq, r.place = wire.Recall, q.Seq, q.Place
	default:
		r.command = wire.OfKind(q.Conversation.Kind, wire.Send, wire.GroupSend)
	}
	return r
}

// refuse refuses a frame.
func (s *session) refuse(f *wire.Up, err error) step {
	r := refusal{command: f.Command, err: asError(err)}
	switch f.Command { //nolint:exhaustive // those whose answer tells what it is about
	case wire.Login:
		return s.refuseLogin(r.err)
	case wire.Send, wire.GroupSend:
		body, _ := s.payload(f)
		r.messageID = wire.MessageIDOf(body)
	case wire.Changes, wire.History, wire.Pull:
		body, _ := s.payload(f)
		asked, _ := wire.ParseChangesSince(body) // all three call it the same
		r.messageID = asked.RequestID
	case wire.Recall:
		body, _ := s.payload(f)
		asked, _ := wire.ParseRecallOf(body) // as far as it can be read
		r.messageID, r.seq, r.place = asked.MessageID, asked.Seq, asked.Place
	}
	return r.step(s.protocol)
}

// refuseLogin answers a login, and ends the connection unless an earlier login holds.
func (s *session) refuseLogin(err error) step {
	e := asError(err)
	answer := local(wire.LoginAck, wire.AppendWelcome(nil, &wire.Welcome{Code: e.Code, Reason: e.Reason}))
	if s.ready {
		return step{refused: e.Code, answer: answer}
	}
	return step{refused: e.Code, end: &ending{reason: reasonRefused, code: e.Code, word: answer}}
}

// broken ends a connection whose bytes cannot be trusted any more; f is what is known of the frame that broke it.
func (s *session) broken(f *wire.Up, err error) step {
	s.hear(f)
	st := s.refuse(f, err)
	if st.end == nil {
		st.end = &ending{reason: reasonBroken, code: st.refused, word: st.answer}
		st.answer = frame{}
	}
	return st
}

// asError returns what a client may see of an error.
func asError(err error) chat.Error {
	if e, ok := errors.AsType[chat.Error](err); ok {
		return e
	}
	return chat.Error{Code: chat.Internal}
}
