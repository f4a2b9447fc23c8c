package chat

import (
	"strings"
	"time"
	"unicode/utf8"
)

// BeforeSend tells whether an app is asked before a message of its users is placed, and what becomes of the message if it does not answer.
// Zero: it is not asked.
type BeforeSend int

// BeforeSend returns what the app has chosen.
func (h *Hooks) BeforeSend() BeforeSend {
	switch {
	case !h.On(HookMessageSend):
		return 0
	case h.FailClosed:
		return FailClosed
	}
	return FailOpen
}

// What an app may choose.
const (
	FailOpen   BeforeSend = 1 // the message is placed as it is
	FailClosed BeforeSend = 2 // it is refused with [Unavailable]
)

// HookKey names what an app is asked about: a message's identity, and what it says.
type HookKey struct {
	ID     ID
	Digest Digest
}

// Hook is a question to an app: may this message be placed?
type Hook struct {
	Key     HookKey
	Request *Request
}

// HookVerdict is the answer.
type HookVerdict struct {
	Kind  HookVerdictKind
	Body  string // of [HookReplaced]: what the message says instead
	Extra string
}

// HookVerdictKind tells what the app says. The zero value says nothing, which counts as [HookFailed].
type HookVerdictKind uint8

// The kinds of verdict.
const (
	HookAllowed  HookVerdictKind = 1
	HookVetoed   HookVerdictKind = 2 // refused for good, with [Vetoed]
	HookReplaced HookVerdictKind = 3
	HookFailed   HookVerdictKind = 4 // no answer, or none that counts: see [BeforeSend]
)

// Limits of the hook.
const (
	hookLimit        = 128      // messages of one conversation that wait for it
	maxReplacedBytes = 64 << 10 // of body and extra: what a frame may hold
)

// hook is a question, and its verdict, for as long as a request waits for it.
type hook struct {
	key      HookKey
	request  *Request
	waiting  int // requests: the message, and whatever repeats it meanwhile
	verdict  HookVerdict
	answered bool
}

// Hooks returns questions that an app is to be asked now, each once, no more than limit. Each ends in [Sequencer.HookAnswered].
func (s *Sequencer) Hooks(limit int) []Hook {
	var due []Hook
	n := 0
	for ; n < len(s.unasked) && len(due) < limit; n++ {
		if h := s.unasked[n]; h.waiting > 0 {
			due = append(due, Hook{h.key, h.request})
		}
	}
	if s.unasked = s.unasked[n:]; len(s.unasked) == 0 {
		s.unasked = nil
	}
	return due
}

// HookAnswered takes a verdict. It is kept until nobody waits for it. A replacement that no client could have sent counts as failed.
func (s *Sequencer) HookAnswered(key HookKey, v HookVerdict) {
	h := s.hooks[key]
	if h == nil || h.answered {
		return
	}
	if v.Kind < HookAllowed || v.Kind > HookFailed || v.Kind == HookReplaced && !v.sayable() {
		v = HookVerdict{Kind: HookFailed}
	}
	h.verdict, h.answered = v, true
}

func (v *HookVerdict) sayable() bool {
	fine := func(x string) bool { return utf8.ValidString(x) && !strings.Contains(x, "\x00") }
	return len(v.Body)+len(v.Extra) <= maxReplacedBytes && fine(v.Body) && fine(v.Extra)
}

// hook returns the question about a message; one that nobody has raised yet is to be asked.
func (s *Sequencer) hook(p *pending) *hook {
	if p.hook != nil {
		return p.hook
	}
	key := HookKey{p.id, DigestOf(p.q.Body, p.q.Extra)}
	h := s.hooks[key]
	if h == nil {
		h = &hook{key: key, request: p.q}
		if s.hooks == nil {
			s.hooks = make(map[HookKey]*hook)
		}
		s.hooks[key] = h
		s.unasked = append(s.unasked, h)
	}
	h.waiting++
	p.hook = h
	return h
}

// unhook says that a request does not wait any more.
func (s *Sequencer) unhook(p *pending) {
	if p.hook == nil {
		return
	}
	if p.hook.waiting--; p.hook.waiting == 0 {
		delete(s.hooks, p.hook.key)
	}
	p.hook = nil
}

// judgeHook says what becomes of a message that may be placed, but for what its app says.
func (s *Sequencer) judgeHook(p *pending) verdict {
	app := s.know.apps[p.q.Conversation.App].value
	mode := app.Hooks.BeforeSend()
	if mode == 0 {
		return verdict{kind: place}
	}
	if p.crowded {
		return refusal(Busy)
	}
	h := s.hook(p)
	if !h.answered {
		return verdict{kind: await}
	}
	switch h.verdict.Kind {
	case HookAllowed:
	case HookReplaced:
		return verdict{kind: place, replaced: &h.verdict}
	case HookVetoed:
		return refusal(Vetoed)
	case HookFailed:
		if mode != FailOpen {
			return refusal(Unavailable)
		}
	}
	return verdict{kind: place}
}

// await keeps a message, and what is behind it in its conversation, until the app has answered. Reads and recalls go on.
func (b *blockBuilder) await(c Conversation) {
	if b.awaited == nil {
		b.awaited = make(map[Conversation]int)
	}
	b.awaited[c]++
}

// waitBehind keeps what is behind a message that waits for its app. A message there has its own question asked meanwhile, so that a
// conversation waits for the slowest answer and not for their sum. One too many is refused when its turn comes.
func (b *blockBuilder) waitBehind(p *pending, now time.Time) {
	if p.q.Kind != AskMessage {
		return
	}
	c := p.q.Conversation
	if b.awaited[c]++; b.awaited[c] > hookLimit {
		p.crowded = true
	}
	if !p.crowded && p.hook == nil {
		b.judge(p, now) // for the sake of what it asks; it is judged again in its turn
	}
}

const hookVerdictVersion = 1

// AppendHookVerdict appends the binary form of a verdict.
func AppendHookVerdict(b []byte, v *HookVerdict) []byte {
	w := writer{b}
	w.byte(hookVerdictVersion)
	w.byte(byte(v.Kind))
	w.string(v.Body)
	w.string(v.Extra)
	return w.b
}

// DecodeHookVerdict is the inverse of [AppendHookVerdict].
func DecodeHookVerdict(b []byte) (HookVerdict, error) {
	r := reader{b: b}
	r.version("verdict", hookVerdictVersion)
	v := HookVerdict{Kind: HookVerdictKind(r.byte()), Body: r.string(), Extra: r.string()}
	return v, r.end("verdict")
}
