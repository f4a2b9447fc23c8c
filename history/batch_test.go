package history_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
)

// TestBatches plays for a while, and asks for several conversations at once and for the newest ones, with Postgres at any distance.
func TestBatches(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(t, seed+100)
		h := w.history(history.Config{})
		for range 60 {
			w.step()
			if p := w.rand.IntN(len(w.logs)); len(w.logs[p].waiting) > 0 && w.rand.IntN(2) == 0 {
				w.persist(p, 1+w.rand.IntN(len(w.logs[p].waiting)))
			}
			user := chat.UserKey{App: pick(w, []chat.AppID{plainApp, earlyApp}), User: pick(w, people)}
			w.checkNewest(h, user)
			w.checkBatch(h, user)
			w.checkPullPairs(h, user)
		}
	}
}

func (w *world) checkNewest(h *history.History, user chat.UserKey) {
	w.t.Helper()
	var want []chat.Conversation
	for _, s := range w.naive.changes(user, 0) {
		want = append(want, s.Conversation)
	}
	slices.Reverse(want)
	w.checkNewestPlaces(h, user)
	limit := 1 + w.rand.IntN(4)
	got, more, err := h.Newest(w.t.Context(), user, limit)
	w.must(err)
	same(w, got, want[:min(len(want), limit)], "the %d newest conversations of %v", limit, user)
	if more != (len(want) > limit) {
		w.t.Fatalf("beside %d of %d conversations there are more: %v", limit, len(want), more)
	}
}

func (w *world) checkNewestPlaces(h *history.History, user chat.UserKey) {
	w.t.Helper()
	var want [2]chat.Place
	if all := w.naive.changes(user, 0); len(all) > 0 {
		want[0] = all[len(all)-1].Place
	}
	if all := w.naive.groups(user, 0); len(all) > 0 {
		want[1] = all[len(all)-1].Place
	}
	conversations, groups, err := h.NewestPlaces(w.t.Context(), user)
	w.must(err)
	same(w, [2]chat.Place{conversations, groups}, want, "where the newest change of %v's conversations and of his groups stands", user)
}

func (w *world) checkBatch(h *history.History, user chat.UserKey) {
	w.t.Helper()
	var wanted []history.Wanted
	for _, c := range w.naive.conversations(user) {
		wanted = append(wanted, history.Wanted{Conversation: c, After: chat.Seq(w.rand.IntN(5))})
	}
	const room = 1200 // two messages, and the third is too much
	pages, err := h.Batch(w.t.Context(), user, wanted, 2, room)
	w.must(err)
	left, full := room, false
	for i, x := range wanted {
		want := w.naive.messages(user, x.Conversation, x.After+1, math.MaxInt64, false)
		page := pages[i]
		if full = full || left <= 0; full {
			if len(page.Items) > 0 || len(want) > 0 && !page.More {
				w.t.Fatalf("without room there are %d messages of %v, more %v", len(page.Items), x.Conversation, page.More)
			}
			continue
		}
		same(w, page.Items, want[:min(len(want), 2)], "the messages of %v after %d for %v", x.Conversation, x.After, user)
		if page.More != (len(want) > 2) {
			w.t.Fatalf("beside %d of %d messages there are more: %v", len(page.Items), len(want), page.More)
		}
		left -= 510 * len(page.Items)
	}
}

func (w *world) checkPullPairs(h *history.History, user chat.UserKey) {
	w.t.Helper()
	want, _ := w.naive.pull(user, 0, math.MaxInt32)
	want = slices.DeleteFunc(want, func(i chat.Item) bool { return i.Record.Conversation.Kind != chat.Pair })
	var paged []chat.Item
	for cursor, completed := chat.Place(0), false; !completed; {
		pulled, err := h.PullPairs(w.t.Context(), user, cursor, 1+w.rand.IntN(4))
		w.must(err)
		paged = append(paged, pulled.Messages...)
		cursor, completed = pulled.MaxKey, pulled.Completed
	}
	same(w, paged, want, "page by page, the messages of %v's pairs", user)
}

// TestABatchIsOfTheAskersConversations asks for somebody else's among one's own.
func TestABatchIsOfTheAskersConversations(t *testing.T) {
	w := newWorld(t, 1)
	h := w.history(history.Config{})
	user := chat.UserKey{App: plainApp, User: "ann"}
	mine := history.Wanted{Conversation: chat.PairOf(plainApp, "ann", "bob")}
	for _, other := range []chat.Conversation{
		chat.PairOf(plainApp, "cy", "bob"), chat.GroupOf(plainApp, "none"), chat.PairOf(earlyApp, "ann", "bob"),
	} {
		pages, err := h.Batch(t.Context(), user, []history.Wanted{mine, {Conversation: other}}, 0, 1000)
		if diff := cmp.Diff(chat.Error{Code: chat.NotMember}, err); diff != "" {
			t.Errorf("%v among one's own is answered with %v, %v", other, pages, err)
		}
	}
}
