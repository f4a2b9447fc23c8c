package history_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
)

const unreadLimit = 3

// TestEveryAnswerIsTheWholeLogs grows random logs, lets Postgres have any part of each partition, and compares every answer with what
// the whole log says.
func TestEveryAnswerIsTheWholeLogs(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			h := w.history(history.Config{PullLimit: 20, UnreadLimit: unreadLimit})
			if seed%2 == 0 {
				w.crowd(chat.GroupOf(plainApp, "g1"))
			}
			for range 4 {
				w.check(h)
				for range 40 {
					w.step()
				}
				w.check(h)
				for p := range w.logs {
					w.persist(p, w.rand.IntN(len(w.logs[p].waiting)+1))
				}
			}
			w.check(h)
			for p := range w.logs {
				w.persist(p, len(w.logs[p].waiting))
			}
			w.check(h)
		})
	}
}

func (w *world) check(h *history.History) {
	w.t.Helper()
	for _, app := range []chat.AppID{plainApp, earlyApp} {
		for _, u := range []chat.UserID{pick(w, people), pick(w, people)} {
			user := chat.UserKey{App: app, User: u}
			w.checkChanges(h, user)
			w.checkGroups(h, user)
			w.checkTotal(h, user)
			w.checkPull(h, user)
			w.checkMissed(h, w.device(app, u))
			for _, of := range []chat.Conversation{
				chat.PairOf(app, u, pick(w, people)), chat.GroupOf(app, "g1"), chat.GroupOf(app, "g2"),
			} {
				w.checkConversation(h, user, of)
			}
		}
	}
}

// same fails with a sentence unless an answer is as it should be.
func same[T any](w *world, got, want T, format string, args ...any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		marks := ""
		for p, l := range w.logs {
			marks += fmt.Sprintf(" %d: %d of %d", p, l.mark.Revision, l.tail.Revision)
		}
		w.t.Fatalf("%s, with Postgres at%s (-want +got):\n%s", fmt.Sprintf(format, args...), marks, diff)
	}
}

func (w *world) checkChanges(h *history.History, user chat.UserKey) {
	w.t.Helper()
	for _, after := range []chat.Place{0, w.place()} {
		want := w.naive.changes(user, after)
		page, err := h.Changes(w.t.Context(), user, after, 0)
		w.must(err)
		w.checkUnread(user, page.Summaries)
		same(w, page.Summaries, want, "what has changed for %v after %d", user, after)
		if !page.Completed || page.Cursor != max(after, w.end()) {
			w.t.Fatalf("the page of all ends at %d, completed %v; want %d", page.Cursor, page.Completed, w.end())
		}
		var paged []history.Summary
		for cursor, completed := after, false; !completed; {
			page, err := h.Changes(w.t.Context(), user, cursor, 2)
			w.must(err)
			w.checkUnread(user, page.Summaries)
			paged = append(paged, page.Summaries...)
			cursor, completed = page.Cursor, page.Completed
		}
		same(w, paged, want, "two at a time, what has changed for %v after %d", user, after)
	}
}

func (w *world) checkGroups(h *history.History, user chat.UserKey) {
	w.t.Helper()
	for _, after := range []chat.Place{0, w.place()} {
		want := w.naive.groups(user, after)
		page, err := h.Groups(w.t.Context(), user, after, 0)
		w.must(err)
		same(w, page.Groups, want, "the groups of %v that have changed after %d", user, after)
		if !page.Completed || page.Cursor != max(after, w.end()) {
			w.t.Fatalf("the page of all groups ends at %d, completed %v; want %d", page.Cursor, page.Completed, w.end())
		}
		var paged []history.GroupSummary
		for cursor, completed := after, false; !completed; {
			page, err := h.Groups(w.t.Context(), user, cursor, 1)
			w.must(err)
			paged = append(paged, page.Groups...)
			cursor, completed = page.Cursor, page.Completed
		}
		same(w, paged, want, "one at a time, the groups of %v that have changed after %d", user, after)
	}
}

func (w *world) checkTotal(h *history.History, user chat.UserKey) {
	w.t.Helper()
	least, most := w.naive.total(user, unreadLimit)
	got, err := h.TotalUnread(w.t.Context(), user)
	w.must(err)
	if got.Total < least.Total || got.Total > most.Total || got.Muted < least.Muted || got.Muted > most.Muted {
		w.t.Fatalf("%v has %+v unread; want from %+v to %+v", user, got, least, most)
	}
}

// checkUnread compares what is unread with what the naive one says, and takes it out.
func (w *world) checkUnread(user chat.UserKey, summaries []history.Summary) {
	w.t.Helper()
	for i := range summaries {
		s := &summaries[i]
		if least, most := w.naive.unread(user, s.Conversation, s.Read, unreadLimit); s.Unread < least || s.Unread > most {
			w.t.Fatalf("%v has %d unread in %v after %d; want %d to %d", user, s.Unread, s.Conversation, s.Read, least, most)
		}
		s.Unread = 0
	}
}

func (w *world) checkPull(h *history.History, user chat.UserKey) {
	w.t.Helper()
	for _, last := range []chat.Place{0, w.place()} {
		want, truncated := w.naive.pull(user, last, 20)
		pulled, err := h.Pull(w.t.Context(), user, last, 0)
		w.must(err)
		same(w, pulled.Messages, want, "the messages of %v after %d", user, last)
		if pulled.Truncated != truncated || !pulled.Completed {
			w.t.Fatalf("the messages of %v after %d: truncated %v, completed %v; want %v and true",
				user, last, pulled.Truncated, pulled.Completed, truncated)
		}
		var paged []chat.Item
		for cursor, completed := last, false; !completed; {
			pulled, err := h.Pull(w.t.Context(), user, cursor, 3)
			w.must(err)
			paged = append(paged, pulled.Messages...)
			cursor, completed = pulled.MaxKey, pulled.Completed
		}
		same(w, paged, want, "three at a time, the messages of %v after %d", user, last)
	}
}

func (w *world) checkMissed(h *history.History, d chat.Device) {
	w.t.Helper()
	end, err := h.End(w.t.Context())
	w.must(err)
	for _, upTo := range []chat.Revision{end, end / 2} {
		after := w.place()
		want := w.naive.missed(d, after, h.PlaceAfter(upTo))
		got, truncated, err := h.Missed(w.t.Context(), d, after, upTo, 1000)
		w.must(err)
		if upTo != end { // reads are folded: one that is newer than the answer has taken an older one's place
			reads := func(i chat.Item) bool { return i.Record.Kind == chat.ReadRecord }
			got, want = slices.DeleteFunc(got, reads), slices.DeleteFunc(want, reads)
		}
		same(w, got, want, "what %v has missed after %d up to revision %d", d, after, upTo)
		if truncated {
			w.t.Fatalf("what %v has missed is truncated", d)
		}
		if n := len(want); n > 1 && upTo == end {
			got, truncated, err := h.Missed(w.t.Context(), d, after, upTo, n-1)
			w.must(err)
			if len(got) > 0 || !truncated {
				w.t.Fatalf("of %d missed records, with a limit of one less: got %d, truncated %v", n, len(got), truncated)
			}
		}
	}
}

func (w *world) checkConversation(h *history.History, user chat.UserKey, of chat.Conversation) {
	w.t.Helper()
	if !w.naive.mine(of, user) {
		_, err := h.Records(w.t.Context(), user, of, 0, 0, false, 0)
		if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != chat.NotMember {
			w.t.Fatalf("the records of %v for %v, who never was a member: %v", of, user, err)
		}
		return
	}
	for _, descending := range []bool{false, true} {
		from, to := w.place(), w.place()
		if w.rand.IntN(2) == 0 {
			from, to = 0, 0
		}
		want := w.naive.records(user, of, from, to, descending)
		page, err := h.Records(w.t.Context(), user, of, from, to, descending, 0)
		w.must(err)
		same(w, page.Items, want[:min(len(want), history.PageLimit)], "the records of %v at %d to %d for %v, descending %v", of, from, to, user, descending)

		first, last := chat.Seq(w.rand.IntN(10)), chat.Seq(w.rand.IntN(20))
		want = w.naive.messages(user, of, first, last, descending)
		page, err = h.Messages(w.t.Context(), user, of, first, last, descending, 0)
		w.must(err)
		same(w, page.Items, want, "the messages of %v from %d to %d for %v, descending %v", of, first, last, user, descending)
		if small, err := h.Messages(w.t.Context(), user, of, first, last, descending, 2); err != nil || small.More != (len(want) > 2) {
			w.t.Fatalf("two messages of %d: more %v, %v", len(want), small.More, err)
		}
		w.checkPages(h, user, of, descending)
	}
}

// checkPages reads a conversation a few records at a time.
func (w *world) checkPages(h *history.History, user chat.UserKey, of chat.Conversation, descending bool) {
	w.t.Helper()
	var paged []chat.Item
	var from, to chat.Place
	for more := true; more; {
		page, err := h.Records(w.t.Context(), user, of, from, to, descending, 15)
		w.must(err)
		paged, more = append(paged, page.Items...), page.More
		if n := len(page.Items); n > 0 && descending {
			to = page.Items[n-1].Place - 1
		} else if n > 0 {
			from = page.Items[n-1].Place + 1
		}
	}
	same(w, paged, w.naive.records(user, of, 0, 0, descending), "fifteen at a time, the records of %v for %v, descending %v", of, user, descending)
}

// TestARangeMayEndAnywhere asks with the largest number there is as the end.
func TestARangeMayEndAnywhere(t *testing.T) {
	w := newWorld(t, 1)
	h := w.history(history.Config{})
	of := chat.PairOf(plainApp, "ann", "bob")
	user := chat.UserKey{App: plainApp, User: "ann"}
	for len(w.naive.of(of)) == 0 {
		w.step()
	}
	page, err := h.Records(t.Context(), user, of, 0, math.MaxInt64, false, 0)
	w.must(err)
	same(w, page.Items, w.naive.records(user, of, 0, 0, false), "the records of %v", of)
	page, err = h.Messages(t.Context(), user, of, 0, math.MaxInt64, false, 0)
	w.must(err)
	same(w, page.Items, w.naive.messages(user, of, 0, 0, false), "the messages of %v", of)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
