package chat

import "time"

// ids remembers the identities of the newest messages of a partition: all that Postgres may not have yet, and those of a window of
// time before that, so that most repeats are answered without a look-up.
type ids struct {
	known map[ID]Stored
	queue []idAge // in the order of their places
}

type idAge struct {
	id  ID
	rev Revision
	at  time.Time
}

func (w *ids) add(id ID, s Stored, rev Revision, at time.Time) {
	if w.known == nil {
		w.known = make(map[ID]Stored)
	}
	w.known[id] = s
	w.queue = append(w.queue, idAge{id, rev, at})
}

// recall says that the message was recalled, if it is remembered.
func (w *ids) recall(id ID) {
	if s, ok := w.known[id]; ok {
		s.Recalled = true
		w.known[id] = s
	}
}

// forget drops what Postgres has (up to mark) and is older than the window, or more than limit and not of the last moments.
func (w *ids) forget(mark Revision, before, moments time.Time, limit int) {
	n := 0
	for n < len(w.queue) {
		q := &w.queue[n]
		if q.rev > mark || !q.at.Before(moments) || (!q.at.Before(before) && len(w.queue)-n <= limit) {
			break
		}
		delete(w.known, q.id)
		n++
	}
	if n > 0 {
		w.queue = append(w.queue[:0], w.queue[n:]...)
	}
}

// recalls remembers which messages were recalled, from the log, for as long as an answer of Postgres may not know it.
type recalls struct {
	known map[Place]bool // by the message's place
	queue []recallAge    // in the order of the log
}

type recallAge struct {
	message Place
	rev     Revision
}

func (w *recalls) add(message Place, rev Revision) {
	if w.known == nil {
		w.known = make(map[Place]bool)
	}
	w.known[message] = true
	w.queue = append(w.queue, recallAge{message, rev})
}

// forget drops what every answer that still counts knows.
func (w *recalls) forget(settled Revision) {
	n := 0
	for n < len(w.queue) && w.queue[n].rev <= settled {
		delete(w.known, w.queue[n].message)
		n++
	}
	w.queue = append(w.queue[:0], w.queue[n:]...)
}
