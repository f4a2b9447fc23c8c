package store

import "github.com/whaleshark-im/whaleshark/sql/store/internal/db"

// The queries of history, for whoever looks at their plans.
const (
	ChangedTalks   = db.ChangedTalks
	ChangedGroups  = db.ChangedGroups
	NewestPlaces   = db.NewestPlaces
	UnreadOf       = db.UnreadOf
	NewestMessages = db.NewestMessages
	MessagesDown   = db.MessagesDown
)
