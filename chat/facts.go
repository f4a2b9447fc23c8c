package chat

import "time"

// What the sequencer must know to judge a request, as Postgres tells it. Everything else it knows from the log.

// App is a tenant's row: its keys and its options.
type App struct {
	ID          AppID
	Keys        []string // the keys that sign user signatures: one, or two while they are changed
	CheckFriend bool     // a message needs a friendship both ways
	CheckBlack  bool     // and nobody may have blocked the other; looked at only with CheckFriend, as the original does

	LoginPolicy          LoginPolicy // 0: the deployment's
	HistoryBeforeJoining bool        // a group's new members see what was said before

	RouteModel RouteModel // which edge a login is sent to
	DeleteMode DeleteMode // who hears that a conversation was deleted
	Hooks      Hooks
}

// RouteModel says which edge the API sends a login to. The numbers are the original's imRouteModel.
type RouteModel int

// The route models.
const (
	RouteRandom     RouteModel = 1
	RouteRoundRobin RouteModel = 2
	RouteHash       RouteModel = 3 // consistent hashing of the user
)

// DeleteMode says who hears that a conversation was deleted. The numbers are the original's deleteConversationSyncMode.
type DeleteMode int

// The modes.
const (
	DeleteEverywhere DeleteMode = 1 // all of the user's devices
	DeleteSilently   DeleteMode = 2 // they find out when they sync
)

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
	Seq      Seq
	Place    Place
	Digest   Digest // of what its sender asked for: what a repeat is held against
	Recalled bool
	Replaced bool // an app has put something else into its place
}

// ReadKey names a user's read position in a conversation.
type ReadKey struct {
	Conversation Conversation
	User         UserID
}

// Target names a message that is to be recalled: by its seq, or by its place if the seq is 0.
type Target struct {
	Conversation Conversation
	Seq          Seq
	Place        Place
}

// Targeted is what is known of a message that is to be recalled.
type Targeted struct {
	Sender    UserID
	MessageID string
	Seq       Seq
	Place     Place
	Time      time.Time // of its block
	Recalled  bool
}

// SeqRange is the messages of a conversation with After < seq ≤ To.
type SeqRange struct {
	Conversation Conversation
	After, To    Seq
}

// Needs lists what one look-up asks for. No key stands in it twice.
type Needs struct {
	Apps      []AppID
	Users     []UserKey
	Relations []RelationKey
	Heads     []Conversation
	IDs       []ID
	Groups    []Conversation
	Reads     []ReadKey
	Targets   []Target
	Senders   []SeqRange

	Partition   Partition // of Groups
	EndedBefore Place     // of Groups: stays that ended before it are not asked for; 0: only those that have not ended are
}

// Facts is the answer to [Needs]: each map holds what exists; a key that was asked for and is not there does not exist (a head: 0).
type Facts struct {
	Apps      map[AppID]App
	Users     map[UserKey]User
	Relations map[RelationKey]Relation
	Heads     map[Conversation]Seq
	IDs       map[ID]Stored
	Groups    map[Conversation]GroupState
	Reads     map[ReadKey]Seq
	Targets   map[Target]Targeted
	Senders   map[SeqRange][]UserID // each once
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
	Since    int64  // Unix milliseconds of the login
	Status   int32  // what the session says of itself: 1 online, others are the client's own; 0: it has said nothing
	Custom   string // and in words
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
