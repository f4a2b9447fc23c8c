package chat

import "time"

// Call is what an app's webhook is told.
type Call struct {
	App   AppID
	Event string // names it, the same in each attempt
	HookCall
}

// WaitingCall is a call that has not succeeded at once.
type WaitingCall struct {
	Call
	ID       int64
	Attempts int
	Since    time.Time
	Next     time.Time // when it is tried next; of a dead one when it was tried last
	Dead     bool      // it is tried no more, unless an operator asks for it
	Cause    string    // why the last attempt failed; empty: there was none
}

// Attempt is what became of a waiting call.
type Attempt struct {
	Call     Call
	ID       int64 // 0: it does not wait yet
	Attempts int   // so far
	Wait     time.Duration
	Dead     bool
	Cause    string
}

// Presence is a user who has come online, or gone.
type Presence struct {
	User   UserKey
	Online bool
	Call   *Call // that tells of it; nil: the app does not want to know
}
