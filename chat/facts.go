package chat

// What the sequencer must know to judge a request, as Postgres tells it. Everything else it knows from the log.

// App is a tenant's row: its keys and its options.
type App struct {
	ID          AppID
	Keys        []string // the keys that sign user signatures: one, or two while they are changed
	CheckFriend bool     // a message needs a friendship both ways
	CheckBlack  bool     // and nobody may have blocked the other; looked at only with CheckFriend, as the original does
}

// User is an existing user's row, as far as messages need it.
type User struct {
	Forbidden bool
	Silent    bool
	Admin     bool
}

// Relation is a user's side of a friendship.
type Relation struct {
	Deleted bool // from has deleted to
	Blocked bool // from has blocked to
}

// UserKey names a user across apps.
type UserKey struct {
	App  AppID
	User UserID
}

// RelationKey names one side of a friendship.
type RelationKey struct {
	App      AppID
	From, To UserID
}

// Stored is what Postgres knows of a message that was placed.
type Stored struct {
	Seq    Seq
	Place  Place
	Digest Digest
}

// Needs lists what one look-up asks for. No key stands in it twice.
type Needs struct {
	Apps      []AppID
	Users     []UserKey
	Relations []RelationKey
	Heads     []Conversation
	IDs       []ID
}

// Facts is the answer to [Needs]: each map holds what exists; a key that was asked for and is not there does not exist (a head: 0).
type Facts struct {
	Apps      map[AppID]App
	Users     map[UserKey]User
	Relations map[RelationKey]Relation
	Heads     map[Conversation]Seq
	IDs       map[ID]Stored
}

// Entry is a block at its revision: one entry of the log.
type Entry struct {
	Revision Revision
	Block    *Block
}

// Mark is how far Postgres has a partition: the last revision whose rows are in, and that block's hash. The zero mark is before
// the first block.
type Mark struct {
	Revision Revision
	Hash     Hash
}

// Route tells which edge holds a session.
type Route struct {
	Device   Device
	Edge     NodeID
	Session  SessionID
	Protocol int32 // the version in the login frame's header
	Epoch    Epoch
	Since    int64 // Unix milliseconds of the login
}

// Newer reports whether r is a newer login of the same device than o: the higher epoch; the higher (edge, session) breaks a tie, so
// that everybody decides alike.
func (r Route) Newer(o Route) bool {
	if r.Epoch != o.Epoch {
		return r.Epoch > o.Epoch
	}
	if r.Edge != o.Edge {
		return r.Edge > o.Edge
	}
	return r.Session > o.Session
}
