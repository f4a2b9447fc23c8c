package api

// syncSince is what every sync asks for: what has changed behind a sequence that the device has.
type syncSince struct {
	LastSequence int64 `json:"lastSequence" about:"The device has all up to here; 0: nothing."`
	MaxLimit     int64 `json:"maxLimit" about:"How many rows at most; at most 100, which is also what 0 means."`
}

const syncedAtOnce = 100

// limit is how many rows a page has. One more is read, to know whether there are more.
func (s *syncSince) limit() int {
	if s.MaxLimit == 0 || s.MaxLimit > syncedAtOnce {
		return syncedAtOnce
	}
	return int(s.MaxLimit)
}

// syncPage is how every sync answers: until it is completed, the device asks again from maxSequence.
type syncPage[T any] struct {
	MaxSequence int64 `json:"maxSequence" about:"The sequence of the last row; without a row, what was asked from."`
	Completed   bool  `json:"completed" about:"There is nothing behind that now."`
	DataList    []T   `json:"dataList"`
}

// pageOf makes a page of rows, of which one more than fits was read.
func pageOf[R, T any](in *syncSince, rows []R, tell func(*R) (row T, sequence int64)) syncPage[T] {
	page := syncPage[T]{MaxSequence: in.LastSequence, Completed: len(rows) <= in.limit(), DataList: []T{}}
	for i := range rows[:min(len(rows), in.limit())] {
		row, sequence := tell(&rows[i])
		page.DataList, page.MaxSequence = append(page.DataList, row), sequence
	}
	return page
}
