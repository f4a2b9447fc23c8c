package fanout

// lately remembers the newest keys that it was given, and a value for each.
type lately[K comparable, V any] struct {
	values map[K]V
	limit  int
	ring   []K // the keys
	oldest int // in the ring, once it is full
}

func newLately[K comparable, V any](limit int) *lately[K, V] {
	return &lately[K, V]{values: make(map[K]V), limit: limit}
}

// set gives a key its value. A new key takes the place of the oldest one.
func (l *lately[K, V]) set(key K, value V) {
	if _, known := l.values[key]; !known {
		if len(l.ring) < l.limit {
			l.ring = append(l.ring, key)
		} else {
			delete(l.values, l.ring[l.oldest])
			l.ring[l.oldest] = key
			l.oldest = (l.oldest + 1) % l.limit
		}
	}
	l.values[key] = value
}

// get returns a key's value; false if it is not remembered.
func (l *lately[K, V]) get(key K) (V, bool) {
	value, known := l.values[key]
	return value, known
}
