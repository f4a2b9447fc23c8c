package bench

import (
	"bytes"
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// A load reads a few fields of each frame, which it knows to be plain: numbers, and ids of its own. It looks for them by name rather than
// parse the JSON, for what it spends is taken from the server beside it. wire's parsers read the same; see the test.

var (
	fieldMessageID = []byte(`"messageId":"`)
	fieldSeq       = []byte(`"messageSequence":`)
	fieldKey       = []byte(`"messageKey":`)
	fieldCode      = []byte(`"code":`)
)

// number returns the number of a field; 0: there is none.
func number(b, field []byte) int64 {
	i := bytes.Index(b, field)
	if i < 0 {
		return 0
	}
	return leading(b[i+len(field):])
}

// lastNumber is number, of a field that stands near the end: bodies, which may be long, stand before it.
func lastNumber(b, field []byte) int64 {
	const end = 256
	if i := bytes.Index(b[max(0, len(b)-end):], field); i >= 0 {
		return leading(b[max(0, len(b)-end)+i+len(field):])
	}
	return number(b, field)
}

func leading(b []byte) (n int64) {
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int64(c-'0')
	}
	return n
}

// text returns the string of a field, as it stands; nil: there is none.
func text(b, field []byte) []byte {
	i := bytes.Index(b, field)
	if i < 0 {
		return nil
	}
	b = b[i+len(field):]
	if i = bytes.IndexByte(b, '"'); i < 0 {
		return nil
	}
	return b[:i]
}

func seqOf(b []byte) chat.Seq { return chat.Seq(lastNumber(b, fieldSeq)) }

// appendID appends a message's id: the run, the sender and his number.
func appendID(b []byte, run string, sender, n int) []byte {
	b = append(append(b, run...), '.')
	b = strconv.AppendInt(b, int64(sender), 10)
	return strconv.AppendInt(append(b, '.'), int64(n), 10)
}

// parseID is the inverse of appendID; false: the message is of somebody else.
func parseID(id []byte, run string) (sender, n int, ok bool) {
	if len(id) <= len(run) || string(id[:len(run)]) != run || id[len(run)] != '.' {
		return -1, -1, false
	}
	id = id[len(run)+1:]
	dot := bytes.IndexByte(id, '.')
	if dot < 0 {
		return -1, -1, false
	}
	return int(leading(id[:dot])), int(leading(id[dot+1:])), true
}
