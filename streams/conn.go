package streams

import (
	"context"
	"fmt"
	"log/slog"
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

	answers *answers
	members atomic.Pointer[Members] // see HeedFull

	partitions int
	base       chat.Revision
	replicas   int  // of the log
	direct     bool // the broker that is asked directly for an entry of ROUTE is its leader
	ingress    []*mail[chat.Conversation]
	pushes     pushMail
	flags      []*flags

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
	if c.answers, err = newAnswers(c.nc); err != nil {
		return err
	}
	c.nc.SetDisconnectErrHandler(c.disconnected)
	g, err := c.readGeneration(ctx, nil)
	if err != nil {
		return err
	}
	if c.partitions, c.base, c.replicas, err = readLog(ctx, c.js); err != nil {
		return err
	}
	c.direct = oneLeader(ctx, c.js)
	for p := range chat.Partition(c.partitions) {
		subject := func(of chat.Conversation) string { return ingressSubject(p, of) }
		c.ingress = append(c.ingress, &mail[chat.Conversation]{pub: c.pub, subject: subject, several: ingressParcel(p)})
		c.flags = append(c.flags, &flags{nc: c.nc, subject: signalSubject(p)})
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

// Lanes returns how many blocks a process should have under way at once. A broker alone writes those of all partitions one after the other;
// several agree on many at a time.
func (c *Conn) Lanes() int {
	if c.replicas <= 1 {
		return 1
	}
	return c.partitions
}

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
	c.pub.fail(time.Time{}, true)
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
