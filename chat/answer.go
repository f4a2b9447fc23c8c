package chat

import "slices"

// Answer is what became of a request whose asker waits for it in a process: see [Request.Reply]. Devices hear of theirs from the fan-out.
type Answer struct {
	Reply string // where it goes; it is not part of the binary form

	Kind      RequestKind
	Code      Code   // OK, or why not
	MessageID string // as in the request

	// Of a message its number, of a recall the message's; of a read the position as it is now. Of a refusal of a message 0.
	Seq Seq
	// Of a message its own, of a recall the message's; of anything else that of its record, 0 if it has left none.
	Place Place
}

const answerVersion = 1

// Answers returns the answers that are due since it was last asked: of what was committed, of repeats, and of what was passed over.
// A request that is found in the log after its block's outcome was unknown gets none; who asks again is told.
func (s *Sequencer) Answers() []Answer {
	due := s.answers
	s.answers = nil
	return due
}

// answer tells what became of a request, if somebody waits for it.
func (s *Sequencer) answer(q *Request, code Code, seq Seq, place Place) {
	if q.Reply == "" {
		return
	}
	s.answers = append(s.answers, Answer{Reply: q.Reply, Kind: q.Kind, Code: code, MessageID: q.MessageID, Seq: seq, Place: place})
}

// answerCommitted tells what an entry has made of a request.
func (s *Sequencer) answerCommitted(p *pending, e Entry) {
	if p.q.Reply == "" {
		return
	}
	i := p.index
	if p.q.Kind == AskRead { // it shares its record, which stands where the block's other records allow
		i = slices.IndexFunc(e.Block.Records, func(r Record) bool {
			return r.Kind == ReadRecord && r.Conversation == p.q.Conversation && r.Sender.User == p.q.Sender.User
		})
	}
	r := &e.Block.Records[i]
	switch r.Kind {
	case RefusalRecord:
		s.answer(p.q, r.Code, 0, 0)
	case RecallRecord:
		s.answer(p.q, OK, r.Seq, r.Recall.Place)
	case RecallRefusalRecord:
		s.answerRecallRefused(p.q, r)
	case MessageRecord, ReadRecord, GroupRecord, SettingRecord:
		s.answer(p.q, OK, r.Seq, PlaceOf(s.cfg.Base, e.Revision, i))
	}
}

// answerRecallRefused names the message, if it is known, to one whose recall comes too late: he may have recalled it himself.
func (s *Sequencer) answerRecallRefused(q *Request, r *Record) {
	seq, place := r.Seq, r.Recall.Place
	if t := s.targets[targetOf(q)]; r.Code == RecalledAlready && t.exists {
		seq, place = t.message.Seq, t.message.Place
	}
	s.answer(q, r.Code, seq, place)
}

// AppendAnswer appends the binary form of an answer.
func AppendAnswer(b []byte, a *Answer) []byte {
	w := writer{b}
	w.byte(answerVersion)
	w.byte(byte(a.Kind))
	w.int(int64(a.Code))
	w.string(a.MessageID)
	w.int(int64(a.Seq))
	w.int(int64(a.Place))
	return w.b
}

// DecodeAnswer is the inverse of [AppendAnswer].
func DecodeAnswer(b []byte) (Answer, error) {
	r := reader{b: b}
	r.version("answer", answerVersion)
	a := Answer{
		Kind:      RequestKind(r.byte()),
		Code:      Code(r.int()), //nolint:gosec // written as an int32
		MessageID: r.string(),
		Seq:       Seq(r.int()),
		Place:     Place(r.int()),
	}
	return a, r.end("answer")
}
