package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// player is one device of the model: it says, reads and recalls at random, is cut off, comes back with its cursor, and remembers
// everything that it was told. What it remembers must be what the log says it should.
type player struct {
	m         *model
	id        chat.Device
	transport string
	protobuf  bool       // it speaks protobuf; half of them do
	rng       *rand.Rand // owned by play
	peers     []chat.UserID

	mu     sync.Mutex
	c      *client.Client
	cursor chat.Place // everything up to here has arrived
	behind bool       // it has not, until what was too much for a login has been asked for
	said   map[chat.Conversation]map[chat.Seq]*heardMessage
	reads  map[chat.ReadKey]readAt
	saying map[string]mine        // what it has said, by its id
	mine   []mine                 // what of it was acknowledged
	asked  map[string]messageName // recalls by the id of their request
	sent   int
	faults []string
}

// heardMessage is a message as a device knows it.
type heardMessage struct {
	id       string
	from     chat.UserID
	body     string
	place    chat.Place // 0: of its own, which has only an ack
	recalled bool
	told     bool // its content has come; false: only its recall
}

type readAt struct {
	seq   chat.Seq
	place chat.Place
}

type messageName struct {
	conversation chat.Conversation
	seq          chat.Seq
}

type mine struct {
	messageName
	id, body string
}

func newPlayer(m *model, user chat.UserID, n int, seed uint64) *player {
	return &player{
		m: m, transport: [...]string{"tcp", "ws"}[n%2], protobuf: n%4 >= 2, rng: rand.New(rand.NewPCG(seed, uint64(n))),
		id:    chat.Device{App: modelApp, User: user, Client: chat.Web, IMEI: fmt.Sprint("d", n)},
		said:  make(map[chat.Conversation]map[chat.Seq]*heardMessage),
		reads: make(map[chat.ReadKey]readAt),
		asked: make(map[string]messageName), saying: make(map[string]mine),
	}
}

func (p *player) fault(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf("%s: ", p.id)+fmt.Sprintf(format, args...))
}

// online connects if it must, and returns the connection.
func (p *player) online(ctx context.Context) (*client.Client, error) {
	p.mu.Lock()
	c, cursor := p.c, p.cursor
	p.mu.Unlock()
	if c != nil && c.Err() == nil {
		return c, nil
	}
	for ctx.Err() == nil {
		edges := p.m.edges()
		if len(edges) > 0 {
			if c, err := p.login(ctx, edges[p.rng.IntN(len(edges))], cursor); err == nil {
				return c, nil
			}
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil, ctx.Err()
}

func (p *player) login(ctx context.Context, edge streams.Member, cursor chat.Place) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, client.Config{
		URL: clientURL(edge, p.transport), Device: p.id, Protobuf: p.protobuf, Resume: true, Cursor: cursor, Receipts: true,
		Ping:    300 * time.Millisecond,
		Handler: client.Handler{Message: p.message, Read: p.read, Recall: p.recall, Pong: p.pong, Ack: p.ack, Frame: p.frame},
	})
	if err != nil {
		return nil, err
	}
	p.behindIs(true)
	w, err := c.Login(ctx)
	if err == nil && w.Truncated {
		err = p.catchUp(ctx, c, cursor)
	}
	p.behindIs(err != nil)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	p.mu.Lock()
	p.c = c
	p.mu.Unlock()
	return c, nil
}

func (p *player) behindIs(behind bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behind = behind
}

// catchUp asks for what is too much to be sent with a login.
func (p *player) catchUp(ctx context.Context, c *client.Client, cursor chat.Place) error {
	for {
		page, err := c.Changes(ctx, wire.ChangesSince{Cursor: cursor, Limit: 50})
		if err != nil {
			return err
		}
		for _, x := range page.Conversations {
			if err := p.readHistory(ctx, c, x.Where, cursor); err != nil {
				return err
			}
		}
		if cursor = page.Cursor; page.Completed {
			return nil
		}
	}
}

func (p *player) readHistory(ctx context.Context, c *client.Client, where wire.Where, after chat.Place) error {
	for {
		page, err := c.History(ctx, wire.HistoryOf{Where: where, FromPlace: after + 1})
		if err != nil {
			return fmt.Errorf("history of %v: %w", where, err)
		}
		for _, r := range page.Records {
			switch {
			case r.Message != nil:
				p.message(*r.Message)
				after = max(after, r.Message.Place)
			case r.Recall != nil:
				p.recall(*r.Recall)
				after = max(after, r.Recall.RecallAt)
			case r.Read != nil:
				p.read(*r.Read)
				after = max(after, r.Read.Place)
			case r.Group != nil:
				after = max(after, r.Group.Place)
			}
		}
		if page.Completed || len(page.Records) == 0 {
			return nil
		}
	}
}

func (p *player) in(w wire.Where, from chat.UserID) chat.Conversation {
	if w.Group != "" {
		return chat.GroupOf(modelApp, w.Group)
	}
	return chat.PairOf(modelApp, from, w.To)
}

// entry returns what is known of a message. The lock is held.
func (p *player) entry(n messageName) *heardMessage {
	of := p.said[n.conversation]
	if of == nil {
		of = make(map[chat.Seq]*heardMessage)
		p.said[n.conversation] = of
	}
	if of[n.seq] == nil {
		of[n.seq] = &heardMessage{}
	}
	return of[n.seq]
}

func (p *player) message(m wire.Placed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := messageName{p.in(wire.Where{To: m.To, Group: m.Group}, m.From.User), m.Seq}
	e := p.entry(n)
	if e.told && (e.id != m.MessageID || e.from != m.From.User || e.place != 0 && e.place != m.Place) {
		p.fault("%s#%d is %s of %s at %d, and was %s of %s at %d", n.conversation, n.seq, m.MessageID, m.From.User, m.Place, e.id, e.from, e.place)
	}
	if !e.told {
		e.body = m.Body
	}
	e.told, e.id, e.from, e.place = true, m.MessageID, m.From.User, m.Place
}

func (p *player) recall(r wire.Recalled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entry(messageName{p.in(r.Where, r.By), r.Seq}).recalled = true
}

func (p *player) read(r wire.ReadPosition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := chat.ReadKey{Conversation: p.in(r.Where, r.Reader), User: r.Reader}
	before := p.reads[key]
	if r.Place > before.place && before.place != 0 && r.Seq < before.seq {
		p.fault("%s's read position in %s went from %d to %d", r.Reader, key.Conversation, before.seq, r.Seq)
	}
	p.reads[key] = readAt{max(before.seq, r.Seq), max(before.place, r.Place)}
}

// pong tells up to where everything has arrived: what is behind it in the connection is newer.
func (p *player) pong(w wire.Pong) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.behind {
		p.cursor = max(p.cursor, w.Cursor)
	}
}

// frame looks for answers to recalls, whoever still waits for them.
func (p *player) frame(c wire.Command, payload []byte) {
	if c != wire.RecallAck {
		return
	}
	a, err := wire.ParseRecallAnswer(payload)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.asked[a.MessageID]; ok && err == nil && a.Code == chat.OK {
		p.entry(n).recalled = true
	}
}

// play does one thing after the other until until is over; what it has begun by then it finishes.
func (p *player) play(ctx, until context.Context) {
	for until.Err() == nil {
		c, err := p.online(ctx)
		if err != nil {
			return
		}
		switch n := p.rng.IntN(100); {
		case n < 50:
			p.say(ctx, wire.Message{To: p.peers[p.rng.IntN(len(p.peers))]})
		case n < 75:
			p.say(ctx, wire.Message{Group: p.m.groups[p.rng.IntN(len(p.m.groups))]})
		case n < 79:
			p.repeat(ctx)
		case n < 90:
			p.markRead(c)
		case n < 97:
			p.takeBack(ctx, c)
		case n < 99:
			_ = c.Close()
			p.m.count(&p.m.cuts)
		}
		pause(until, time.Duration(p.rng.IntN(70))*time.Millisecond)
	}
}

// say says something new, and again until it is answered. Two attempts may have two answers: a member may be muted at the first and not at
// the second, so a refusal does not end it for good.
func (p *player) say(ctx context.Context, m wire.Message) {
	p.sent++
	m.MessageID = fmt.Sprintf("%s-%s-%d", p.id.User, p.id.IMEI, p.sent)
	m.Body = fmt.Sprintf("%s says %d", p.id, p.sent)
	m.First = true
	p.mu.Lock()
	p.saying[m.MessageID] = mine{
		messageName: messageName{conversation: p.in(wire.Where{To: m.To, Group: m.Group}, p.id.User)}, id: m.MessageID, body: m.Body,
	}
	p.mu.Unlock()
	_, err := p.send(ctx, m)
	e, refused := errors.AsType[chat.Error](err)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.m.count(&p.m.messages)
	case !refused:
		p.fault("%s had no answer: %v", m.MessageID, err)
	case m.Group == "":
		p.fault("%s was refused: %v", m.MessageID, e)
	}
}

// ack notes what a message of this device got, whoever still waits for it.
func (p *player) ack(a wire.Ack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, known := p.saying[a.MessageID]
	switch {
	case a.Code != chat.OK:
		return
	case !known:
		p.fault("an ack of %s, which it has not sent", a.MessageID)
		return
	case m.seq != 0 && m.seq != a.Seq:
		p.fault("%s was numbered %d, and now %d", a.MessageID, m.seq, a.Seq)
		return
	case m.seq != 0:
		return
	}
	m.seq = a.Seq
	p.saying[a.MessageID] = m
	p.mine = append(p.mine, m)
	e := p.entry(m.messageName)
	e.told, e.id, e.from, e.body = true, m.id, p.id.User, m.body
}

// repeat says again what was acknowledged: the answer must be the first one.
func (p *player) repeat(ctx context.Context) {
	m, ok := p.oneOfMine()
	if !ok {
		return
	}
	msg := wire.Message{MessageID: m.id, Body: m.body}
	if m.conversation.Kind == chat.Group {
		msg.Group = m.conversation.A
	} else {
		msg.To, _ = m.conversation.Peer(p.id.User)
	}
	ack, err := p.send(ctx, msg)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.fault("%s, sent again, was answered %v", m.id, err)
	case ack.Seq != m.seq:
		p.fault("%s, sent again, was numbered %d, and %d at first", m.id, ack.Seq, m.seq)
	}
	p.m.count(&p.m.repeats)
}

// oneOfMine picks one of the newest messages of this device.
func (p *player) oneOfMine() (mine, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mine) == 0 {
		return mine{}, false
	}
	newest := p.mine[max(0, len(p.mine)-20):]
	return newest[p.rng.IntN(len(newest))], true
}

func (p *player) send(ctx context.Context, m wire.Message) (wire.Ack, error) {
	for attempt := 0; ; attempt++ {
		c, err := p.online(ctx)
		if err != nil {
			return wire.Ack{}, err
		}
		m.First = m.First && attempt == 0
		limited, cancel := context.WithTimeout(ctx, ackPatience)
		ack, err := c.Send(limited, m)
		cancel()
		if err == nil {
			return ack, nil
		}
		if e, ok := errors.AsType[chat.Error](err); ok && !e.Code.Info().Retryable {
			return ack, err
		}
		if pause(ctx, 20*time.Millisecond); ctx.Err() != nil {
			return ack, err
		}
	}
}

// markRead reads a conversation up to the newest message that has come, or now and then to an older one, which must move nothing.
func (p *player) markRead(c *client.Client) {
	p.mu.Lock()
	var newest messageName
	for n, skip := range p.said { // in no order: any conversation will do
		for seq, e := range skip {
			if e.told && e.from != p.id.User && seq > newest.seq {
				newest = messageName{n, seq}
			}
		}
		if newest.seq > 0 {
			break
		}
	}
	if newest.seq == 0 {
		p.mu.Unlock()
		return
	}
	if p.rng.IntN(5) == 0 {
		newest.seq = 1 + newest.seq/2
	}
	e := p.said[newest.conversation][newest.seq]
	read := wire.ReadUpTo{Seq: newest.seq}
	if newest.conversation.Kind == chat.Group {
		read.Group = newest.conversation.A
		if e != nil {
			read.To = e.from
		}
	} else {
		read.To, _ = newest.conversation.Peer(p.id.User)
	}
	p.mu.Unlock()
	if c.MarkRead(read) == nil {
		p.m.count(&p.m.reads)
	}
}

// takeBack recalls one of this device's newest messages.
func (p *player) takeBack(ctx context.Context, c *client.Client) {
	m, ok := p.oneOfMine()
	if !ok {
		return
	}
	p.sent++
	r := wire.RecallOf{Seq: m.seq, MessageID: fmt.Sprintf("recall-%s-%s-%d", p.id.User, p.id.IMEI, p.sent)}
	if m.conversation.Kind == chat.Group {
		r.Group = m.conversation.A
	} else {
		r.To, _ = m.conversation.Peer(p.id.User)
	}
	p.mu.Lock()
	p.asked[r.MessageID] = m.messageName
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, ackPatience)
	defer cancel()
	if _, err := c.Recall(ctx, r); err == nil {
		p.m.count(&p.m.recalls)
	}
}
