package streams

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Config says how to reach the broker.
type Config struct {
	URL       string                     // of the broker, or several, with commas between them
	InProcess nats.InProcessConnProvider // a server in this process, instead of the URL
	Name      string                     // how the broker's monitoring calls this connection
	Layout    Layout
	LookOnly  bool // creates nothing, and begins no lives; a broker without a log is an error
	Log       *slog.Logger
}

// Conn is a process's connection to the broker. It reconnects for ever, and holds nothing back while it is away: what cannot be sent
// at once fails at once, so that nothing arrives late and out of order.
type Conn struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	pub    *publisher
	layout Layout
	look   bool // see Config.LookOnly
	log    *slog.Logger

	partitions int
	base       chat.Revision

	gen  atomic.Pointer[Generation]
	kick chan struct{} // a reconnect: look at the lives now
	stop context.CancelFunc
	wg   sync.WaitGroup
}

const (
	ackPatience     = 2 * time.Second // an acknowledgement that has not come by then is unknown
	requestPatience = 2 * time.Second
)

// Connect connects, creates the streams that are missing unless it shall only look, and keeps watch over their lives until [Conn.Close].
func Connect(ctx context.Context, cfg Config) (*Conn, error) {
	cfg.Layout.defaults()
	c := &Conn{layout: cfg.Layout, look: cfg.LookOnly, log: cfg.Log, kick: make(chan struct{}, 1)}
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(c.disconnected),
		nats.ReconnectHandler(c.reconnected),
		nats.ErrorHandler(c.asyncError),
	}
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	}
	nc, err := nats.Connect(cfg.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats at %s: %w", cfg.URL, err)
	}
	c.nc = nc
	if err := c.open(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) open(ctx context.Context) error {
	var err error
	if c.js, err = jetstream.New(c.nc); err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	if c.pub, err = newPublisher(c.nc); err != nil {
		return err
	}
	g, err := c.readGeneration(ctx, nil)
	if err != nil {
		return err
	}
	if c.partitions, c.base, err = readLog(ctx, c.js); err != nil {
		return err
	}
	c.gen.Store(g)
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.wg.Go(func() { c.watchLives(ctx) })
	c.wg.Go(func() { c.sweep(ctx) })
	return nil
}

// Close ends the watch and the connection.
func (c *Conn) Close() {
	c.stop()
	c.wg.Wait()
	c.gen.Load().cancel()
	c.nc.Close()
	c.pub.fail(time.Time{}, true)
}

// Partitions returns how many partitions the log has.
func (c *Conn) Partitions() int { return c.partitions }

// Base returns the base of the log's places.
func (c *Conn) Base() chat.Revision { return c.base }

// NATS returns the connection itself, for what only asks about the broker.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// KeyValue opens one of the buckets by the broker's own API, for tools and tests.
func (c *Conn) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := c.js.KeyValue(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return kv, nil
}

// Connected reports whether the connection is up.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

func (c *Conn) disconnected(_ *nats.Conn, err error) {
	if err != nil {
		c.log.Warn("nats connection lost", "cause", err)
	}
	if c.pub != nil {
		c.pub.fail(time.Time{}, true)
	}
}

func (c *Conn) reconnected(nc *nats.Conn) {
	c.log.Info("nats connection is back", "url", nc.ConnectedUrlRedacted())
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *Conn) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	c.log.Warn("nats", "cause", err, "subject", subject)
}

// sweep ends publishes that have waited too long.
func (c *Conn) sweep(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			c.pub.fail(now, false)
		case <-ctx.Done():
			return
		}
	}
}

// Generation is a time in which no memory stream has lost its content.
type Generation struct {
	Ingress, Push, Route, Members chat.Life

	ctx    context.Context //nolint:containedctx // it is the generation: it ends when a life does
	cancel context.CancelFunc
}

// Run runs f in one generation after the other until ctx ends. When a life ends, f's context does; when f returns by itself,
// it is run again after a moment, with the cause logged. Run returns when ctx has ended and f has returned.
func (c *Conn) Run(ctx context.Context, what string, f func(ctx context.Context, g *Generation) error) {
	for ctx.Err() == nil {
		g := c.gen.Load()
		genCtx, cancel := context.WithCancel(ctx)
		unlink := context.AfterFunc(g.ctx, cancel) //nolint:contextcheck // f ends with the generation, too
		err := f(genCtx, g)
		unlink()
		cancel()
		if ctx.Err() != nil {
			return
		}
		if g.ctx.Err() == nil {
			c.log.WarnContext(ctx, "starting again", "what", what, "cause", err)
		}
		select {
		case <-time.After(100*time.Millisecond + rand.N(100*time.Millisecond)): //nolint:gosec // jitter
		case <-ctx.Done():
		}
	}
}

// watchLives looks at the lives once a second and after each reconnect.
func (c *Conn) watchLives(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.kick:
		case <-ctx.Done():
			return
		}
		old := c.gen.Load()
		g, err := c.readGeneration(ctx, old)
		if err != nil {
			c.log.DebugContext(ctx, "lives are out of sight", "cause", err)
			continue
		}
		if g != old {
			c.log.WarnContext(ctx, "a memory stream has begun a new life", "ingress", g.Ingress != old.Ingress,
				"push", g.Push != old.Push, "route", g.Route != old.Route, "members", g.Members != old.Members)
			c.gen.Store(g)
			old.cancel()
		}
	}
}

// readGeneration returns old if no life has ended. Missing streams are created, and missing lives begun; one who only looks takes them
// for 0.
func (c *Conn) readGeneration(ctx context.Context, old *Generation) (*Generation, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*requestPatience)
	defer cancel()
	var lives [len(memoryStreams)]chat.Life
	for i, m := range memoryStreams {
		life, err := c.readLife(ctx, m)
		if c.look && (errors.Is(err, errNoStream) || errors.Is(err, errNoEntry)) {
			continue
		}
		if errors.Is(err, errNoStream) || old == nil && err == nil && i == 0 && !c.look {
			if err = c.layout.ensure(ctx, c.js); err == nil {
				life, err = c.readLife(ctx, m)
			}
		}
		if errors.Is(err, errNoEntry) {
			life, err = c.beginLife(ctx, m, old != nil)
		}
		if err != nil {
			return nil, fmt.Errorf("life of stream %s: %w", m.name, err)
		}
		lives[i] = life
	}
	g := &Generation{Ingress: lives[0], Push: lives[1], Route: lives[2], Members: lives[3]}
	if old != nil && old.Ingress == g.Ingress && old.Push == g.Push && old.Route == g.Route && old.Members == g.Members {
		return old, nil
	}
	g.ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return g, nil
}

func (c *Conn) readLife(ctx context.Context, m memoryStream) (chat.Life, error) {
	e, err := c.getMessage(ctx, m.name, map[string]any{"last_by_subj": m.lifeSubject})
	if err != nil {
		return 0, err
	}
	life, err := strconv.ParseUint(string(e.Data), 10, 64)
	return chat.Life(life), err
}

// beginLife writes a new life, unless somebody else is faster. The entry of a living stream is away for a moment now and then
// (see purgeIngress), so a process that knew one looks twice.
func (c *Conn) beginLife(ctx context.Context, m memoryStream, knewOne bool) (chat.Life, error) {
	if knewOne {
		for range 3 {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			if life, err := c.readLife(ctx, m); !errors.Is(err, errNoEntry) {
				return life, err
			}
		}
	}
	life := strconv.FormatUint(rand.Uint64(), 10) //nolint:gosec // it must differ, not be secret
	_, err := c.publishWait(ctx, lifeMessage(m, []byte(life), 0))
	if err != nil && !errors.Is(err, ErrConflict) {
		return 0, err
	}
	return c.readLife(ctx, m)
}

func lifeMessage(m memoryStream, life []byte, last uint64) *nats.Msg {
	msg := &nats.Msg{Subject: m.lifeSubject, Header: nats.Header{}, Data: life}
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(last, 10))
	if m.name == streamPush {
		msg.Header.Set(jetstream.MsgTTLHeader, "never")
	}
	return msg
}

// publishWait publishes and waits for the acknowledgement.
func (c *Conn) publishWait(ctx context.Context, m *nats.Msg) (uint64, error) {
	type result struct {
		seq uint64
		err error
	}
	heard := make(chan result, 1)
	c.pub.publish(m, func(seq uint64, err error) { heard <- result{seq, err} })
	select {
	case r := <-heard:
		return r.seq, r.err
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

var (
	errNoStream = errors.New("no such stream")
	errNoEntry  = errors.New("no such entry")
)

// stored is a message as the stream's leader gives it.
type stored struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

// getMessage asks the stream's leader, never a replica that may be behind.
func (c *Conn) getMessage(ctx context.Context, stream string, query map[string]any) (*stored, error) {
	var answer struct {
		Message *stored `json:"message"`
	}
	if err := c.api(ctx, "STREAM.MSG.GET."+stream, query, &answer); err != nil {
		return nil, err
	}
	return answer.Message, nil
}

// api asks the JetStream API of the broker.
func (c *Conn) api(ctx context.Context, subject string, query, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	body, err := json.Marshal(query)
	if err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	m, err := c.nc.RequestWithContext(ctx, "$JS.API."+subject, body)
	if err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	if bytes.Contains(m.Data, []byte(`"error":`)) {
		if err := apiError(m.Data); err != nil {
			return fmt.Errorf("ask %s: %w", subject, err)
		}
	}
	if err := json.Unmarshal(m.Data, answer); err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	return nil
}

// apiError returns the error in an answer of the API; nil if there is none.
func apiError(answer []byte) error {
	var fault struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &fault); err != nil || fault.Error == nil {
		return err
	}
	switch fault.Error.Code {
	case 10059:
		return errNoStream
	case 10037:
		return errNoEntry
	}
	return fmt.Errorf("%s (%d)", fault.Error.Description, fault.Error.Code)
}
