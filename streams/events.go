package streams

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
)

// PublishEvent puts an event into the stream of events, and returns once it is on the disk there. One that is there already, by its number
// in the outbox and published within the last minutes, is not doubled.
func (c *Conn) PublishEvent(ctx context.Context, e *chat.Event) error {
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("publish event %d: %w", e.ID, err)
	}
	m := &nats.Msg{Subject: eventSubject(e), Data: value, Header: nats.Header{}}
	m.Header.Set(jetstream.MsgIDHeader, "e"+strconv.FormatInt(e.ID, 10))
	if _, err := c.publishWait(ctx, m); err != nil {
		return fmt.Errorf("publish event %d: %w", e.ID, err)
	}
	return nil
}

// HearEvents calls heard with each event as it is published, until ctx ends. It misses those of a time in which the connection is away: lost is
// called when it is back.
func (c *Conn) HearEvents(ctx context.Context, heard func(*chat.Event), lost func()) error {
	sub, err := c.nc.Subscribe(eventPrefix+">", func(m *nats.Msg) {
		var e chat.Event
		if json.Unmarshal(m.Data, &e) == nil {
			heard(&e)
		}
	})
	if err != nil {
		return fmt.Errorf("listen to events: %w", err)
	}
	go func() { // ends with ctx
		c.watchReconnects(ctx, lost)
		_ = sub.Unsubscribe()
	}()
	return nil
}

// watchReconnects calls back after each reconnect, until ctx ends.
func (c *Conn) watchReconnects(ctx context.Context, back func()) {
	before := c.nc.Stats().Reconnects
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if n := c.nc.Stats().Reconnects; n != before {
			before = n
			back()
		}
	}
}

// Told is an event and where it stands in the stream.
type Told struct {
	Position uint64
	Event    *chat.Event // nil: it cannot be read
}

// ReadEvents reads the events after a position.
func (c *Conn) ReadEvents(ctx context.Context, after uint64) (*Reader[Told], error) {
	policy, start := from(after)
	return read(ctx, c, c.Generation(), streamEvents, "events", readerInbox, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{eventPrefix + ">"}, DeliverPolicy: policy, OptStartSeq: start,
	}, func(m jetstream.Msg) (Told, bool) {
		meta, err := m.Metadata()
		if err != nil {
			return Told{}, false
		}
		t := Told{Position: meta.Sequence.Stream}
		var e chat.Event
		if err := json.Unmarshal(m.Data(), &e); err == nil {
			t.Event = &e
		}
		return t, true
	})
}

// LastEvent returns the position of the newest event; 0 if there was none yet.
func (c *Conn) LastEvent(ctx context.Context) (uint64, error) {
	var info struct {
		State struct {
			LastSeq uint64 `json:"last_seq"`
		} `json:"state"`
	}
	if err := c.api(ctx, "STREAM.INFO."+streamEvents, struct{}{}, &info); err != nil {
		return 0, fmt.Errorf("read the end of the events: %w", err)
	}
	return info.State.LastSeq, nil
}

const eventsAtOnce = 256

// ConsumeEvents calls handle with batches of the events that nobody has handled yet under a name, in their order, until ctx ends. When handle
// returns nil they are handled. An error ends it; who calls again begins where it was, with what was not handled. One consumes under a name at a
// time: whoever begins takes over from whoever was there, who ends then.
func (c *Conn) ConsumeEvents(ctx context.Context, name string, handle func(context.Context, []chat.Event) error) error {
	consumer, err := c.takeOverEvents(ctx, name)
	if err != nil {
		return fmt.Errorf("consume events as %s: %w", name, err)
	}
	in := eventConsumer{Consumer: consumer}
	for ctx.Err() == nil {
		if err := in.consume(ctx, handle); err != nil {
			return fmt.Errorf("consume events as %s: %w", name, err)
		}
	}
	return ctx.Err()
}

// errNotInTurn says that an event has not arrived, or arrives again. What says that an event is handled says so of all before it, so nothing
// may be handled beyond a gap: who begins again begins at it.
var errNotInTurn = errors.New("an event has come out of turn")

// eventConsumer takes events in their turn.
type eventConsumer struct {
	jetstream.Consumer
	taken uint64 // how many deliveries have arrived
}

// takeOverEvents makes a consumer of its own that begins behind what was handled under a name, and then removes that of before. What that one
// has taken and not handled would otherwise come again only after a while, behind newer events.
func (c *Conn) takeOverEvents(ctx context.Context, name string) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestPatience)
	defer cancel()
	stream, err := c.js.Stream(ctx, streamEvents)
	if err != nil {
		return nil, err
	}
	cfg := jetstream.ConsumerConfig{
		Durable: name + "_" + rand.Text()[:8], FilterSubject: eventPrefix + ">", DeliverPolicy: jetstream.DeliverNewPolicy,
		AckPolicy: jetstream.AckAllPolicy, MaxAckPending: 4 * eventsAtOnce,
	}
	var before []string
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		if strings.HasPrefix(info.Name, name+"_") {
			before = append(before, info.Name)
			cfg.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
			cfg.OptStartSeq = max(cfg.OptStartSeq, handledUpTo(info)+1)
		}
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	consumer, err := stream.CreateConsumer(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for _, old := range before {
		if err := stream.DeleteConsumer(ctx, old); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, err
		}
	}
	return consumer, nil
}

// handledUpTo returns the position up to which a consumer has handled everything: where it began, if it has handled nothing.
func handledUpTo(info *jetstream.ConsumerInfo) uint64 {
	if began := info.Config.OptStartSeq; began > 0 {
		return max(info.AckFloor.Stream, began-1)
	}
	return info.AckFloor.Stream
}

func (c *eventConsumer) consume(ctx context.Context, handle func(context.Context, []chat.Event) error) error {
	batch, err := c.Fetch(eventsAtOnce, jetstream.FetchMaxWait(time.Second))
	if err != nil {
		return err
	}
	// Fetch waits until it has so many, or the time is over; what is there is handled as soon as nothing follows at once.
	for messages := batch.Messages(); ; {
		events, last, open, fault := c.gather(ctx, messages)
		if last != nil {
			if err := handle(ctx, events); err != nil {
				return err
			}
			if err := last.Ack(); err != nil {
				return err
			}
		}
		if fault != nil {
			return fault
		}
		if !open {
			break
		}
	}
	if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) && ctx.Err() == nil {
		return err
	}
	return nil
}

// gather takes what is there in its turn, and waits for the first.
func (c *eventConsumer) gather(
	ctx context.Context, messages <-chan jetstream.Msg,
) (events []chat.Event, last jetstream.Msg, open bool, err error) {
	var m jetstream.Msg
	select {
	case m, open = <-messages:
	case <-ctx.Done():
	}
	for open {
		if err := c.inTurn(m); err != nil {
			return events, last, true, err
		}
		last = m
		var e chat.Event
		if json.Unmarshal(m.Data(), &e) == nil {
			events = append(events, e)
		}
		select {
		case m, open = <-messages:
		default:
			return events, last, true, nil
		}
	}
	return events, last, false, nil
}

// inTurn reports whether a message is the next. One may be missing after a time without a connection: it was sent, and nobody was there.
func (c *eventConsumer) inTurn(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	if c.taken++; meta.Sequence.Consumer != c.taken || meta.NumDelivered != 1 {
		return errNotInTurn
	}
	return nil
}

// Nudge says that something waits in an outbox. It may be lost: whoever relays looks by himself, too.
func (c *Conn) Nudge() { _ = c.nc.Publish(subjectNudge, nil) }

// Nudged yields after nudges, until ctx ends.
func (c *Conn) Nudged(ctx context.Context) (<-chan struct{}, error) {
	heard := make(chan struct{}, 1)
	sub, err := c.nc.Subscribe(subjectNudge, func(*nats.Msg) {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listen to nudges: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	return heard, nil
}
