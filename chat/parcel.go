package chat

// A parcel is what travels in one message: several requests, or several signals. Its binary form is its version, and each thing with its length
// before it: one that cannot be read spoils no other.

const parcelVersion = 1

// AppendParcel adds a thing to a parcel; an empty one begins with it.
func AppendParcel(parcel, thing []byte) []byte {
	w := writer{parcel}
	if len(parcel) == 0 {
		w.byte(parcelVersion)
	}
	w.bytes(thing)
	return w.b
}

// DecodeParcel returns what a parcel holds, in its order. The things point into b.
func DecodeParcel(b []byte) ([][]byte, error) {
	r := reader{b: b}
	r.version("parcel", parcelVersion)
	var things [][]byte
	for len(r.b) > 0 && r.err == nil {
		things = append(things, r.bytes())
	}
	if r.err != nil {
		return nil, r.end("parcel")
	}
	return things, nil
}

// AppendMailed appends the binary form of a request on its way: where its answer goes, and the request.
func AppendMailed(b []byte, q *Request) []byte {
	w := writer{b}
	w.string(q.Reply)
	return AppendRequest(w.b, q)
}

// DecodeMailed is the inverse of [AppendMailed].
func DecodeMailed(b []byte) (*Request, error) {
	r := reader{b: b}
	reply := r.string()
	if r.err != nil {
		return nil, r.end("request")
	}
	q, err := DecodeRequest(r.b)
	if err != nil {
		return nil, err
	}
	q.Reply = reply
	return q, nil
}
