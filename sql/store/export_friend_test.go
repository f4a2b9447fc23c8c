package store

import "github.com/whaleshark-im/whaleshark/sql/store/internal/db"

// The hot queries of users and their friends.
const (
	Profiles            = db.Profiles
	ExistingUsers       = db.ExistingUsers
	SequencesOf         = db.SequencesOf
	BumpSequences       = db.BumpSequences
	FriendshipsByKey    = db.FriendshipsByKey
	FriendshipsOf       = db.FriendshipsOf
	FriendshipsAfter    = db.FriendshipsAfter
	DeleteFriendships   = db.DeleteFriendships
	OpenFriendRequests  = db.OpenFriendRequests
	DecideFriendRequest = db.DecideFriendRequest
	FriendRequestsTo    = db.FriendRequestsTo
	FriendRequestsAfter = db.FriendRequestsAfter
	ReadFriendRequests  = db.ReadFriendRequests
	FriendGroupsAfter   = db.FriendGroupsAfter
	DeleteFriendGroups  = db.DeleteFriendGroups
)
