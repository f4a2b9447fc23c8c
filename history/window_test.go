package history_test

import (
	"context"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/streams"
)

// stuck is a log whose entries do not come before it is let go.
type stuck struct {
	*streams.Conn
	asked, free chan struct{}
}

func (s stuck) EntriesAfter(ctx context.Context, p chat.Partition, after chat.Revision, f func(chat.Entry) error) error {
	s.asked <- struct{}{}
	<-s.free
	return s.Conn.EntriesAfter(ctx, p, after, f)
}

// TestNobodyWaitsLongerThanHeMay asks while another question holds the window.
func TestNobodyWaitsLongerThanHeMay(t *testing.T) {
	w := newWorld(t, 1)
	for range 5 {
		w.step()
	}
	log := stuck{w.conn, make(chan struct{}, 100), make(chan struct{})}
	h := history.New(history.Config{}, log, w.store)
	user := chat.UserKey{App: plainApp, User: "ann"}
	first := make(chan error, 1)
	go func() { // ends when the log is let go
		_, err := h.Changes(context.WithoutCancel(t.Context()), user, 0, 0)
		first <- err
	}()
	<-log.asked
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	second := make(chan error, 1)
	go func() { // ends with ctx, or when the log is let go
		_, err := h.Changes(ctx, user, 0, 0)
		second <- err
	}()
	select {
	case err := <-second:
		if err == nil {
			t.Error("it was answered without the log")
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits on after its time")
	}
	close(log.free)
	w.must(<-first)
}
