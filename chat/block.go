package chat

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Block is what one revision of a partition's key holds: the records committed together.
//
// Its binary form, version 1 (golden files in testdata/block):
//
//	byte     version
//	32 bytes hash: SHA-256 of the previous block's hash and of the core
//	bytes    core, its length before it
//	rest     for each message: bool erased, and if it is not: string body, string extra
//
//	core: int partition · uint previous revision · int time (Unix milliseconds) · uint life · uint low · uint n, n × uint above
//	      · uint records · for each: byte kind, conversation, device, string message id, and
//	        of a message: int seq, int message time, 32 bytes digest, and if it was replaced (its kind is 1 + 128 then) 32 bytes
//	        digest of what was asked for · of a refusal: int code ·
//	        of a read: int seq, int from, string named · of a recall: int seq, int place, string sender, string message id ·
//	        of a recall's refusal: int seq, int place, int code · of a group's change: byte kind, int version, uint users,
//	        each a string, byte role, int until, byte flags (1 on, 2 info), with that flag: string info · of a setting: byte mute, byte top,
//	        byte delete (2: silently)
//
// The hash covers the core, and the core the digests of the bodies: the log is a chain that an auditor can walk, and that an
// erased body leaves whole. The encoding itself need not be canonical, for the hash is taken of the bytes as they stand.
type Block struct {
	Partition  Partition
	Prev       Revision  // the block before it in the partition; 0: none
	Time       time.Time // when the owner made it, by its clock; for people, never for order
	Checkpoint Checkpoint
	Records    []Record

	Hash Hash // set by encoding and by decoding
}

// Hash is a link of the chain. The zero hash is before the first block.
type Hash [32]byte

// Checkpoint tells which requests of the ingress a log has folded in: all up to Low, and those in Above.
// It commits with the records, so that no request is judged twice.
type Checkpoint struct {
	Life  Life
	Low   Position
	Above []Position // ascending, all greater than Low
}

// Limits of a block.
const (
	blockVersion  = 1
	maxBlockBytes = 256 << 10
)

// replacedMessage is the kind of a message in a block if the app had it replaced; in a [Record] it is a MessageRecord with Asked set.
const replacedMessage = byte(MessageRecord) | 0x80

var errChain = errors.New("the block's hash does not follow from the block before it")

// AppendBlock appends the binary form of a block that follows one whose hash is prev, and sets the block's hash.
func AppendBlock(b []byte, k *Block, prev Hash) []byte {
	core := writer{make([]byte, 0, 128+160*len(k.Records))} // more than most take
	core.int(int64(k.Partition))
	core.uint(uint64(k.Prev))
	core.int(k.Time.UnixMilli())
	core.uint(uint64(k.Checkpoint.Life))
	core.uint(uint64(k.Checkpoint.Low))
	core.uint(uint64(len(k.Checkpoint.Above)))
	for _, p := range k.Checkpoint.Above {
		core.uint(uint64(p))
	}
	core.uint(uint64(len(k.Records)))
	for i := range k.Records {
		core.record(&k.Records[i])
	}
	k.Hash = chain(prev, core.b)

	bodies := 0
	for i := range k.Records {
		bodies += len(k.Records[i].Body) + len(k.Records[i].Extra) + 8
	}
	w := writer{slices.Grow(b, len(core.b)+bodies+64)}
	w.byte(blockVersion)
	w.raw(k.Hash[:])
	w.bytes(core.b)
	for i := range k.Records {
		if r := &k.Records[i]; r.Kind == MessageRecord {
			w.bool(r.Erased)
			if !r.Erased {
				w.string(r.Body)
				w.string(r.Extra)
			}
		}
	}
	return w.b
}

func chain(prev Hash, core []byte) Hash {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(core)
	return Hash(h.Sum(nil))
}

func (w *writer) record(r *Record) {
	replaced := r.Kind == MessageRecord && r.Replaced()
	if replaced {
		w.byte(replacedMessage)
	} else {
		w.byte(byte(r.Kind))
	}
	w.conversation(r.Conversation)
	w.device(r.Sender)
	w.string(r.MessageID)
	switch r.Kind {
	case MessageRecord:
		w.int(int64(r.Seq))
		w.int(r.MessageTime)
		w.raw(r.Digest[:])
		if replaced {
			w.raw(r.Asked[:])
		}
	case RefusalRecord:
		w.int(int64(r.Code))
	case ReadRecord:
		w.int(int64(r.Seq))
		w.int(int64(r.Read.From))
		w.string(string(r.Read.Named))
	case RecallRecord:
		w.int(int64(r.Seq))
		w.int(int64(r.Recall.Place))
		w.string(string(r.Recall.Sender))
		w.string(r.Recall.MessageID)
	case RecallRefusalRecord:
		w.int(int64(r.Seq))
		w.int(int64(r.Recall.Place))
		w.int(int64(r.Code))
	case GroupRecord:
		w.change(r.Change)
	case SettingRecord:
		w.setting(r.Setting)
	default:
		panic(fmt.Sprintf("chat: encode a record of kind %d", r.Kind))
	}
}

func (r *reader) record() Record {
	kind := r.byte()
	replaced := kind == replacedMessage
	if replaced {
		kind = byte(MessageRecord)
	}
	x := Record{
		Kind:         RecordKind(kind),
		Conversation: r.conversation(),
		Sender:       r.device(),
		MessageID:    r.string(),
	}
	switch x.Kind {
	case MessageRecord:
		x.Seq = Seq(r.int())
		x.MessageTime = r.int()
		copy(x.Digest[:], r.raw(uint64(len(x.Digest))))
		if !replaced {
			break
		}
		if copy(x.Asked[:], r.raw(uint64(len(x.Asked)))); !x.Replaced() {
			r.fail()
		}
	case RefusalRecord:
		x.Code = Code(r.int()) //nolint:gosec // written as an int32
	case ReadRecord:
		x.Seq = Seq(r.int())
		x.Read = &Read{From: Seq(r.int()), Named: UserID(r.string())}
	case RecallRecord:
		x.Seq = Seq(r.int())
		x.Recall = &Recall{Place: Place(r.int()), Sender: UserID(r.string()), MessageID: r.string()}
	case RecallRefusalRecord:
		x.Seq = Seq(r.int())
		x.Recall = &Recall{Place: Place(r.int())}
		x.Code = Code(r.int()) //nolint:gosec // written as an int32
	case GroupRecord:
		x.Change = r.change()
	case SettingRecord:
		x.Setting = r.setting()
	default:
		r.fail()
	}
	return x
}

// DecodeBlock reads a block without its chain: the caller does not know the block before it.
func DecodeBlock(b []byte) (*Block, error) {
	k, _, err := decodeBlock(reader{b: b})
	return k, err
}

// DecodeBlockAfter reads a block and checks that it follows one whose hash is prev, and that each body fits its digest.
func DecodeBlockAfter(b []byte, prev Hash) (*Block, error) {
	return decodeBlockAfter(reader{b: b}, prev)
}

// SkimBlock is [DecodeBlock] for who keeps nothing of it: its strings share one copy of the whole block, and each keeps all of it alive.
func SkimBlock(b []byte) (*Block, error) {
	k, _, err := decodeBlock(reader{b: b, text: string(b)})
	return k, err
}

// SkimBlockAfter is [DecodeBlockAfter] for who keeps nothing of it, as [SkimBlock] is.
func SkimBlockAfter(b []byte, prev Hash) (*Block, error) {
	return decodeBlockAfter(reader{b: b, text: string(b)}, prev)
}

func decodeBlockAfter(r reader, prev Hash) (*Block, error) {
	k, core, err := decodeBlock(r)
	if err != nil {
		return nil, err
	}
	if chain(prev, core) != k.Hash {
		return nil, errChain
	}
	for i := range k.Records {
		r := &k.Records[i]
		if r.Kind == MessageRecord && !r.Erased && DigestOf(r.Body, r.Extra) != r.Digest {
			return nil, fmt.Errorf("record %d: the body does not fit its digest", i)
		}
	}
	return k, nil
}

func decodeBlock(r reader) (*Block, []byte, error) {
	r.version("block", blockVersion)
	k := &Block{}
	copy(k.Hash[:], r.raw(uint64(len(k.Hash))))
	coreBytes := r.bytes()

	core := reader{b: coreBytes, err: r.err}
	if at := len(r.text) - len(r.b); at >= len(coreBytes) {
		core.text = r.text[at-len(coreBytes) : at]
	}
	k.Partition = Partition(core.int())
	k.Prev = Revision(core.uint())
	k.Time = time.UnixMilli(core.int())
	k.Checkpoint = Checkpoint{Life: Life(core.uint()), Low: Position(core.uint())}
	if n := core.count(1); n > 0 {
		k.Checkpoint.Above = make([]Position, n)
		for i := range k.Checkpoint.Above {
			k.Checkpoint.Above[i] = Position(core.uint())
		}
	}
	n := core.count(8)
	if n > MaxBlockRecords {
		return nil, nil, fmt.Errorf("decode block: %d records, and a place has room for %d", n, MaxBlockRecords)
	}
	k.Records = make([]Record, n)
	for i := range k.Records {
		k.Records[i] = core.record()
	}
	if err := core.end("block"); err != nil {
		return nil, nil, err
	}
	for i := range k.Records {
		x := &k.Records[i]
		if x.Kind != MessageRecord {
			continue
		}
		if x.Erased = r.bool(); !x.Erased {
			x.Body, x.Extra = r.string(), r.string()
		}
	}
	return k, coreBytes, r.end("block")
}
