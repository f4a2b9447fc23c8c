package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// Raw says how the broker is measured alone: what stands between any server of this kind and its disk.
type Raw struct {
	Payload  int           `json:"payload"`
	InFlight int           `json:"in_flight"`   // publishes without an ack; 0: 1,024
	Writers  int           `json:"writers"`     // of keys, each with one update in flight
	Keys     int           `json:"keys"`        // that they share
	Duration time.Duration `json:"duration_ns"` // of each of the two parts
}

// RawResult is what the broker does with nothing around it.
type RawResult struct {
	Published   int64       `json:"published"` // into a stream in memory, asynchronously
	PublishedPS float64     `json:"published_per_s"`
	ConsumedPS  float64     `json:"consumed_per_s"` // by an ordered consumer, meanwhile
	Through     Percentiles `json:"through"`        // from the publish to the consumer
	Writers     int         `json:"writers"`
	Keys        int         `json:"keys"`
	UpdatesPS   float64     `json:"updates_per_s"` // of keys of a bucket on disk, fsynced if the broker is configured so
	Update      Percentiles `json:"update"`
}

const (
	rawInFlight = 1024
	rawWriters  = 10
	rawBeside   = 3 * time.Second // when it is measured beside something else
	rawPatience = 10 * time.Second
)

// Run measures the broker.
func (w Raw) Run(ctx context.Context, t *Target) (*Report, error) {
	r, sys, err := t.begin(ctx, "raw", w)
	if err != nil {
		return nil, err
	}
	before, load := sys.look(false), ownCPU()
	if r.Raw, err = w.measure(ctx, t); err != nil {
		return nil, err
	}
	r.Resources = resources(before, sys.look(false), ownCPU()-load, r.Raw.Published+r.Raw.Update.Count, "publishes and updates")
	r.judge(&faults{}, &codes{})
	return r, nil
}

func (w Raw) measure(ctx context.Context, t *Target) (*RawResult, error) {
	nc, err := nats.Connect(t.NATS, nats.Name("whaleshark, bench"))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.NATS, err)
	}
	defer nc.Close()
	inFlight := cmp.Or(w.InFlight, rawInFlight)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(inFlight), jetstream.WithPublishAsyncTimeout(rawPatience))
	if err != nil {
		return nil, err
	}
	r := &RawResult{Writers: max(w.Writers, 1), Keys: max(w.Keys, 1)}
	name := "BENCH_" + strings.ToUpper(rand.Text()[:8])
	if err := w.stream(ctx, js, name, r, t.Progress); err != nil {
		return nil, fmt.Errorf("measure the broker: publish and consume: %w", err)
	}
	if err := w.updates(ctx, js, name, r, t.Progress); err != nil {
		return nil, fmt.Errorf("measure the broker: update keys: %w", err)
	}
	return r, nil
}

// stream publishes as fast as it can, and consumes what it publishes.
func (w Raw) stream(ctx context.Context, js jetstream.JetStream, name string, r *RawResult, progress *Progress) error {
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{name + ".>"}, Storage: jetstream.MemoryStorage, MaxBytes: 256 << 20, Discard: jetstream.DiscardOld,
	})
	if err != nil {
		return err
	}
	defer func() { _ = js.DeleteStream(context.WithoutCancel(ctx), name) }() // it is in memory, and small
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	began := time.Now()
	through := newHistogram()
	var mu sync.Mutex
	var consumed int64
	consuming, err := c.Consume(func(m jetstream.Msg) {
		took := time.Since(began) - time.Duration(binary.BigEndian.Uint64(m.Data())) //nolint:gosec // a time of this run
		mu.Lock()
		defer mu.Unlock()
		consumed++
		record(through, took)
	})
	if err != nil {
		return err
	}
	defer consuming.Stop()
	took, err := w.publish(ctx, js, name, began, r, progress)
	if err != nil {
		return err
	}
	r.PublishedPS = float64(r.Published) / took.Seconds()
	for all := false; !all && time.Since(began) < w.Duration+rawPatience; {
		mu.Lock()
		all = consumed == r.Published
		r.ConsumedPS, r.Through = float64(consumed)/time.Since(began).Seconds(), percentiles(through)
		mu.Unlock()
		if err := Pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (w Raw) publish(
	ctx context.Context, js jetstream.JetStream, name string, began time.Time, r *RawResult, progress *Progress,
) (time.Duration, error) {
	size := max(w.Payload, 8)
	for n := 0; ctx.Err() == nil; n++ {
		at := time.Since(began)
		if at >= w.Duration {
			break
		}
		data := make([]byte, size)
		binary.BigEndian.PutUint64(data, uint64(at)) //nolint:gosec // not negative
		if _, err := js.PublishAsync(name+".m", data, jetstream.WithStallWait(rawPatience)); err != nil {
			return 0, err
		}
		r.Published++
		if n%1000 == 0 {
			progress.line("the broker alone: %d published", r.Published)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(rawPatience):
		return 0, errors.New("the acks of the last publishes have not come")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return time.Since(began), ctx.Err()
}

// updates lets each writer update its key again and again, one update in flight.
func (w Raw) updates(ctx context.Context, js jetstream.JetStream, name string, r *RawResult, progress *Progress) error {
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, Storage: jetstream.FileStorage, History: 64})
	if err != nil {
		return err
	}
	defer func() { _ = js.DeleteKeyValue(context.WithoutCancel(ctx), name) }() // an operator sees it, if it stays
	all, began := newHistogram(), time.Now()
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for i := range r.Writers {
		g.Go(func() error {
			h, err := w.write(ctx, kv, fmt.Sprint("k", i%r.Keys), r.Writers <= r.Keys, began)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				all.Merge(h)
			}
			return err
		})
	}
	progress.line("the broker alone: %d writers update %d keys", r.Writers, r.Keys)
	if err := g.Wait(); err != nil {
		return err
	}
	r.UpdatesPS, r.Update = float64(all.TotalCount())/time.Since(began).Seconds(), percentiles(all)
	return nil
}

// write updates a key; if it is the writer's own, against its last revision, as a sequencer does.
func (w Raw) write(ctx context.Context, kv jetstream.KeyValue, key string, own bool, began time.Time) (*hdrhistogram.Histogram, error) {
	took, value := newHistogram(), make([]byte, w.Payload)
	var last uint64
	for time.Since(began) < w.Duration {
		start := time.Now()
		var err error
		if own {
			last, err = kv.Update(ctx, key, value, last)
		} else {
			last, err = kv.Put(ctx, key, value)
		}
		if err != nil {
			return nil, err
		}
		record(took, time.Since(start))
	}
	return took, nil
}
