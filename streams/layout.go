package streams

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Layout says how large the streams may grow and how often they are kept. It counts when they are created; a stream that is
// there already keeps what it was created with.
type Layout struct {
	Partitions   int           // of the log; fixed when the log is created; 0: 4, or 32 with replicas
	Base         chat.Revision // of places; see chat.PlaceOf; fixed when the log is created
	Replicas     int           // of every stream; 0: 1
	IngressBytes int64         // what may wait to be sequenced; beyond it requests are refused; 0: 256 MiB
	PushBytes    int64         // what may wait to be delivered; 0: 256 MiB
	LogBytes     int64         // how large the log may grow on the broker's disk; 0: no limit of its own
}

func (l *Layout) defaults() {
	if l.Replicas == 0 {
		l.Replicas = 1
	}
	switch {
	case l.Partitions != 0:
	case l.Replicas == 1:
		l.Partitions = 4
	default:
		l.Partitions = 32
	}
	if l.IngressBytes == 0 {
		l.IngressBytes = 256 << 20
	}
	if l.PushBytes == 0 {
		l.PushBytes = 256 << 20
	}
	if l.LogBytes == 0 {
		l.LogBytes = -1
	}
}

const (
	streamIngress = "INGRESS"
	streamPush    = "PUSH"
	streamEvents  = "EVENTS"
	bucketLog     = "LOG"
	bucketRoute   = "ROUTE"
	bucketMembers = "MEMBERS"

	streamLog     = "KV_" + bucketLog
	streamRoute   = "KV_" + bucketRoute
	streamMembers = "KV_" + bucketMembers

	metaPartitions = "whaleshark-partitions"
	metaBase       = "whaleshark-base"
	metaFunction   = "whaleshark-partitioning"

	pushMaxAge      = 10 * time.Second   // an edge that has not read for so long is not there any more
	ingressMaxAge   = 5 * time.Minute    // far beyond any request's deadline: a partition that nobody can own does not fill it for all
	eventsMaxAge    = 7 * 24 * time.Hour // a webhook worker that is away for longer misses events
	eventsMaxBytes  = 1 << 30
	eventsDedupe    = 2 * time.Minute
	memberMarkerTTL = 10 * time.Second // how long the mark of an expired member stays for watchers to see
)

// memoryStream is a stream whose content ends with its broker, and the subject of the entry that carries its life.
type memoryStream struct {
	name, lifeSubject string
}

var memoryStreams = [...]memoryStream{
	{streamIngress, "in.life"},
	{streamPush, "push.life"},
	{streamRoute, routePrefix + "life"},
	{streamMembers, memberPrefix + "life"},
}

// streamConfigs is the one table of what lies on the broker.
func (l Layout) streamConfigs() []jetstream.StreamConfig {
	memory := jetstream.MemoryStorage
	return []jetstream.StreamConfig{
		{
			Name: streamLog, Subjects: []string{"$KV." + bucketLog + ".>"}, Description: "the log: one revision is one block",
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, DenyDelete: true, AllowRollup: true,
			MaxMsgsPerSubject: 1 << 40, MaxBytes: l.LogBytes, Replicas: l.Replicas,
			Metadata: map[string]string{
				metaPartitions: strconv.Itoa(l.Partitions),
				metaBase:       strconv.FormatUint(uint64(l.Base), 10),
				metaFunction:   chat.Partitioning,
			},
		},
		{
			Name: streamIngress, Subjects: []string{"in.>"}, Description: "requests on their way into the log",
			Storage: memory, Discard: jetstream.DiscardNew, MaxBytes: l.IngressBytes, Replicas: l.Replicas,
			MaxAge: ingressMaxAge, AllowMsgTTL: true,
		},
		{
			Name: streamPush, Subjects: []string{"push.>"}, Description: "frames on their way to the edges",
			Storage: memory, Discard: jetstream.DiscardNew, MaxBytes: l.PushBytes, Replicas: l.Replicas,
			MaxAge: pushMaxAge, AllowMsgTTL: true,
		},
		{
			Name: streamEvents, Subjects: []string{eventPrefix + ">"}, Description: "what Postgres has decided, for devices, webhooks and caches",
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, MaxAge: eventsMaxAge, MaxBytes: eventsMaxBytes,
			Duplicates: eventsDedupe, Replicas: l.Replicas,
		},
		{
			Name: streamRoute, Subjects: []string{routePrefix + ">"}, Description: "which edge holds a session",
			Storage: memory, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, AllowRollup: true, AllowMsgTTL: true,
			MaxBytes: -1, Replicas: l.Replicas, AllowDirect: true,
		},
		{
			Name: streamMembers, Subjects: []string{memberPrefix + ">"}, Description: "who is there",
			Storage: memory, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, AllowRollup: true, AllowMsgTTL: true,
			MaxBytes: -1, Replicas: l.Replicas,
			SubjectDeleteMarkerTTL: memberMarkerTTL, // without it a key expires in silence
		},
	}
}

// ensure creates what is missing, and changes nothing that is there.
func (l Layout) ensure(ctx context.Context, js jetstream.JetStream) error {
	for _, cfg := range l.streamConfigs() {
		_, err := js.Stream(ctx, cfg.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			_, err = js.CreateStream(ctx, cfg)
			if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
				err = nil // somebody else was faster, with another size
			}
		}
		if err != nil {
			return fmt.Errorf("create stream %s: %w", cfg.Name, err)
		}
	}
	return nil
}

// readLog returns what the log was created with.
func readLog(ctx context.Context, js jetstream.JetStream) (partitions int, base chat.Revision, replicas int, err error) {
	s, err := js.Stream(ctx, streamLog)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, 0, 0, errors.New("the broker holds no log: no edge and no worker has connected to it yet")
	}
	if err != nil {
		return 0, 0, 0, fmt.Errorf("read stream %s: %w", streamLog, err)
	}
	meta := s.CachedInfo().Config.Metadata
	partitions, err = strconv.Atoi(meta[metaPartitions])
	if err != nil || partitions < 1 {
		return 0, 0, 0, fmt.Errorf("stream %s says %q of its partitions; it was not created by this program", streamLog, meta[metaPartitions])
	}
	if f := meta[metaFunction]; f != chat.Partitioning {
		return 0, 0, 0, fmt.Errorf("the log was written by a version that shares conversations out among partitions by %q, and this one does it by %q: "+
			"go on with that version, or begin with an empty data folder and an empty database", cmp.Or(f, "fnv1a32"), chat.Partitioning)
	}
	b, err := strconv.ParseUint(meta[metaBase], 10, 64)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("stream %s says %q of its base", streamLog, meta[metaBase])
	}
	return partitions, chat.Revision(b), s.CachedInfo().Config.Replicas, nil
}

// oneLeader reports whether ROUTE may be asked directly: where there are several replicas, one that is behind may answer.
func oneLeader(ctx context.Context, js jetstream.JetStream) bool {
	s, err := js.Stream(ctx, streamRoute)
	if err != nil {
		return false
	}
	cfg := s.CachedInfo().Config
	return cfg.AllowDirect && cfg.Replicas <= 1
}
