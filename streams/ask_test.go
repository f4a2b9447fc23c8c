package streams_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// judge reads the requests of one partition until the test ends, and sends what judge makes of the n-th, counted from 1; nil: nothing.
func judge(t *testing.T, c *streams.Conn, say func(n int, q *chat.Request) *chat.Answer) {
	t.Helper()
	r, err := c.ReadIngress(t.Context(), c.Generation(), request("").Conversation.Partition(c.Partitions()), 0)
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-done; r.Close() })
	go func() { // the cleanup ends it
		defer close(done)
		for n := 0; ; {
			select {
			case <-r.Ready():
			case <-stop:
				return
			}
			for _, o := range r.Take(100) {
				n++
				if a := say(n, o.Request); a != nil {
					a.Reply = o.Request.Reply
					if err := c.Answer(a); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}()
}

func ask(t *testing.T, c *streams.Conn, patience time.Duration, q *chat.Request) (chat.Answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return c.Ask(ctx, q)
}

// TestWhoAsksHears asks many things at once, and loses every tenth answer.
func TestWhoAsksHears(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	judge(t, c, func(n int, q *chat.Request) *chat.Answer {
		if n%10 == 0 {
			return nil
		}
		return &chat.Answer{Kind: q.Kind, Code: chat.OK, MessageID: q.MessageID, Seq: chat.Seq(n)}
	})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			q := request(fmt.Sprint("m", i))
			a, err := ask(t, c, 20*time.Second, q)
			if err != nil || a.MessageID != q.MessageID || a.Seq == 0 || a.Code != chat.OK {
				t.Errorf("%s: %+v, %v", q.MessageID, a, err)
			}
			if q.Reply != "" {
				t.Error("the asker's request was changed")
			}
		})
	}
	wg.Wait()
}

// TestASecondAttemptIsNone: it does not claim to be the first, and a recall that finds its work done has done it.
func TestASecondAttemptIsNone(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	judge(t, c, func(n int, q *chat.Request) *chat.Answer {
		if q.First || n == 2 {
			return nil
		}
		return &chat.Answer{Kind: q.Kind, Code: chat.RecalledAlready, MessageID: q.MessageID, Seq: 7}
	})
	q := request("m1")
	q.First = true
	if a, err := ask(t, c, 20*time.Second, q); err != nil || a.Code != chat.OK {
		t.Errorf("a second attempt hears %+v, %v", a, err)
	}
	q = request("r1")
	q.Kind = chat.AskRecall
	if a, err := ask(t, c, 20*time.Second, q); err != nil || a.Code != chat.RecalledAlready || a.Seq != 7 {
		t.Errorf("a first attempt hears %+v, %v", a, err)
	}
}

// TestADeletionIsSubmittedOnce: a second one would also take what was said in between.
func TestADeletionIsSubmittedOnce(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	var taken atomic.Int32
	judge(t, c, func(int, *chat.Request) *chat.Answer { taken.Add(1); return nil })
	q := request("")
	q.Kind, q.Body, q.Setting = chat.AskSetting, "", &chat.Setting{Delete: true}
	_, err := ask(t, c, 4*time.Second, q)
	if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != chat.Unavailable || taken.Load() != 1 {
		t.Errorf("a deletion that nobody answers was submitted %d times, and ends in %v; want once, and %v", taken.Load(), err, chat.Unavailable)
	}
}

func TestNobodyAnswers(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	_, err := ask(t, c, 100*time.Millisecond, request("m1"))
	if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != chat.Unavailable || !strings.Contains(e.Reason, "unknown") {
		t.Errorf("who hears nothing gets %v, want %v and that the outcome is unknown", err, chat.Unavailable)
	}
}

func TestAFullIngressRefusesWhoAsks(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{IngressBytes: 64 << 10})
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		err = submit(c, fmt.Sprint(i))
	}
	started := time.Now()
	_, err = ask(t, c, 20*time.Second, request("m1"))
	if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != chat.Busy || time.Since(started) > 10*time.Second {
		t.Errorf("a full ingress says %v after %v, want %v at once", err, time.Since(started), chat.Busy)
	}
}

// TestAFullLogRefusesAtOnce lets a sequencer tell that its log is full; the ingress has room.
func TestAFullLogRefusesAtOnce(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() { c.HeedFull(ctx) })
	wg.Go(func() {
		c.Work(ctx, streams.RoleSequence, func(context.Context, *streams.Generation, *streams.Members) (streams.Duty, error) {
			return streams.Duty{
				Node: streams.NewNode(), Log: slog.New(slog.DiscardHandler),
				Own: func(ctx context.Context, _ chat.Partition, post *streams.Post) error {
					post.Full(true)
					<-ctx.Done()
					return ctx.Err()
				},
			}, nil
		})
	})
	eventually(t, "the full log", func() error {
		_, err := ask(t, c, time.Millisecond, request("m1"))
		if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != chat.Busy {
			return fmt.Errorf("says %w, want %v", err, chat.Busy)
		}
		return nil
	})
}

// cable is a way to a server of this process that can be cut; it is whole again at once.
type cable struct {
	*server.Server
	mu   sync.Mutex
	ends []net.Conn
}

func (x *cable) InProcessConn() (net.Conn, error) {
	end, err := x.Server.InProcessConn()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ends = append(x.ends, end)
	return end, err
}

func (x *cable) cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, end := range x.ends {
		_ = end.Close()
	}
	x.ends = nil
}

// TestWhoAsksHearsAfterAReconnect cuts the asker's connection while it waits; what it was to hear then is lost.
func TestWhoAsksHearsAfterAReconnect(t *testing.T) {
	s := streamstest.Server(t)
	x := &cable{Server: s}
	c, err := streams.Connect(t.Context(), streams.Config{InProcess: x, Name: t.Name(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	judge(t, streamstest.Connect(t, s, streams.Layout{}), func(n int, q *chat.Request) *chat.Answer {
		if n == 1 {
			x.cut()
		}
		return &chat.Answer{Kind: q.Kind, Code: chat.OK, MessageID: q.MessageID, Seq: chat.Seq(n)}
	})
	for _, id := range []string{"m1", "m2"} {
		if a, err := ask(t, c, 30*time.Second, request(id)); err != nil || a.Code != chat.OK || a.MessageID != id {
			t.Errorf("%s: %+v, %v", id, a, err)
		}
	}
}
