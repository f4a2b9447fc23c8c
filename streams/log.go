package streams

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/chat/planted"
)

// RawEntry is an entry of the log as it lies there.
type RawEntry struct {
	Partition chat.Partition
	Revision  chat.Revision
	Data      []byte
}

// Append asks the broker to make data the next revision of the partition's key, if the last one is prev; done is called
// exactly once. The revision is given only with a nil error. The other ends are [ErrConflict], [ErrTransient], [ErrFull],
// [ErrNotSent], which say that the block is not in the log, and [ErrUnknown].
func (c *Conn) Append(p chat.Partition, data []byte, prev chat.Revision, done func(chat.Revision, error)) {
	m := &nats.Msg{Subject: logSubject(p), Data: data, Header: nats.Header{}}
	if !planted.Is("revision") {
		m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(uint64(prev), 10))
	}
	c.pub.publish(m, func(seq uint64, err error) { done(chat.Revision(seq), err) })
}

// Tail returns the partition's newest revision, from the leader; 0 if the log is empty.
func (c *Conn) Tail(ctx context.Context, p chat.Partition) (chat.Revision, error) {
	e, err := c.getMessage(ctx, streamLog, map[string]any{"last_by_subj": logSubject(p)})
	if errors.Is(err, errNoEntry) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the tail of partition %d: %w", p, err)
	}
	return chat.Revision(e.Seq), nil
}

// LastRevision returns the newest revision of all partitions.
func (c *Conn) LastRevision(ctx context.Context) (chat.Revision, error) {
	last, _, err := c.logEnd(ctx, struct{}{})
	return last, err
}

// LogEnd returns the newest revision of all partitions, and how many blocks each has, in one request to the leader. The numbers may be
// a moment younger than the revision: a partition whose number is as before has nothing new up to it.
func (c *Conn) LogEnd(ctx context.Context) (chat.Revision, map[chat.Partition]uint64, error) {
	last, subjects, err := c.logEnd(ctx, map[string]string{"subjects_filter": "$KV." + bucketLog + ".>"})
	blocks := make(map[chat.Partition]uint64, len(subjects))
	for subject, n := range subjects {
		if p, err := parseLogSubject(subject); err == nil {
			blocks[p] = n
		}
	}
	return last, blocks, err
}

func (c *Conn) logEnd(ctx context.Context, query any) (chat.Revision, map[string]uint64, error) {
	var info struct {
		State struct {
			LastSeq  uint64            `json:"last_seq"`
			Subjects map[string]uint64 `json:"subjects"`
		} `json:"state"`
	}
	if err := c.api(ctx, "STREAM.INFO."+streamLog, query, &info); err != nil {
		return 0, nil, fmt.Errorf("read the end of the log: %w", err)
	}
	return chat.Revision(info.State.LastSeq), info.State.Subjects, nil
}

// fewEntries is how many entries are read one by one: opening a consumer costs about as much.
const fewEntries = 16

// EntriesAfter calls f with the partition's entries after a revision, from the leader, up to a tail that the log had after the call began. A
// few cost a request each and one more; many are read by a consumer.
func (c *Conn) EntriesAfter(ctx context.Context, p chat.Partition, after chat.Revision, f func(chat.Entry) error) error {
	for range fewEntries {
		e, err := c.getMessage(ctx, streamLog, map[string]any{"seq": uint64(after) + 1, "next_by_subj": logSubject(p)})
		if errors.Is(err, errNoEntry) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read partition %d after revision %d: %w", p, after, err)
		}
		after = chat.Revision(e.Seq)
		if err := handEntry(RawEntry{p, after, e.Data}, f); err != nil {
			return err
		}
	}
	_, err := c.ReadLog(ctx, p, after, func(e RawEntry) error { return handEntry(e, f) })
	return err
}

func handEntry(e RawEntry, f func(chat.Entry) error) error {
	block, err := chat.DecodeBlock(e.Data)
	if err != nil {
		return fmt.Errorf("read revision %d: %w", e.Revision, err)
	}
	return f(chat.Entry{Revision: e.Revision, Block: block})
}

// Entry returns one entry of the log, from the leader; false if there is none at this revision.
func (c *Conn) Entry(ctx context.Context, rev chat.Revision) (RawEntry, bool, error) {
	e, err := c.getMessage(ctx, streamLog, map[string]any{"seq": uint64(rev)})
	if errors.Is(err, errNoEntry) {
		return RawEntry{}, false, nil
	}
	if err != nil {
		return RawEntry{}, false, fmt.Errorf("read revision %d: %w", rev, err)
	}
	p, err := parseLogSubject(e.Subject)
	return RawEntry{p, rev, e.Data}, err == nil, err
}

// FollowLog reads a partition's log after a revision, and goes on with what is appended.
func (c *Conn) FollowLog(ctx context.Context, p chat.Partition, after chat.Revision) (*Reader[RawEntry], error) {
	return c.readLog(ctx, c.Generation(), logSubject(p), after)
}

// FollowWholeLog reads all partitions, in the order of their revisions.
func (c *Conn) FollowWholeLog(ctx context.Context, after chat.Revision) (*Reader[RawEntry], error) {
	return c.readLog(ctx, c.Generation(), "$KV."+bucketLog+".>", after)
}

func (c *Conn) readLog(ctx context.Context, g *Generation, filter string, after chat.Revision) (*Reader[RawEntry], error) {
	policy, start := from(uint64(after))
	return read(ctx, c, g, streamLog, "the log", logInbox, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{filter}, DeliverPolicy: policy, OptStartSeq: start,
	}, func(m jetstream.Msg) (RawEntry, bool) {
		meta, err := m.Metadata()
		if err != nil {
			return RawEntry{}, false
		}
		p, err := parseLogSubject(m.Subject())
		return RawEntry{p, chat.Revision(meta.Sequence.Stream), m.Data()}, err == nil
	})
}

// ReadLog calls f with the partition's entries after a revision, up to the tail that the log has now. It returns that tail. It fails
// when its generation has ended, after which nothing comes, and when the connection is lost, which ends the generation sooner or later.
func (c *Conn) ReadLog(ctx context.Context, p chat.Partition, after chat.Revision, f func(RawEntry) error) (chat.Revision, error) {
	g := c.Generation()
	tail, err := c.Tail(ctx, p)
	if err != nil || tail <= after {
		return tail, err
	}
	r, err := c.readLog(ctx, g, logSubject(p), after)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-r.Ready():
		case <-look.C:
			if !c.present(g) || !c.Connected() {
				return 0, fmt.Errorf("read partition %d up to revision %d: %w", p, tail, errPast)
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		for _, e := range r.Take(readerInbox) {
			if e.Revision > tail {
				return tail, nil
			}
			if err := f(e); err != nil {
				return 0, err
			}
			if e.Revision == tail {
				return tail, nil
			}
		}
	}
}
