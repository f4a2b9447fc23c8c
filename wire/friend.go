package wire

// What changes among a user's friends, and how his devices hear of it. A sequence is the user's own number of the change: of his friendships, of
// his requests or of his friend groups. A device that has all up to the one before has all with this one.

// FriendAdded is the payload of [FriendAdd].
type FriendAdded struct {
	FromID    string `json:"fromId"` // the user himself
	ToID      string `json:"toId"`   // his new friend
	Remark    string `json:"remark"` // what he calls him
	AddSource string `json:"addSource"`
	Sequence  int64  `json:"sequence"`
}

// FriendUpdated is the payload of [FriendUpdate].
type FriendUpdated struct {
	FromID    string `json:"fromId"`
	ToID      string `json:"toId"`
	Remark    string `json:"remark"`
	AddSource string `json:"addSource"`
	Extra     string `json:"extra"`
	Sequence  int64  `json:"sequence"`
}

// FriendChanged is the payload of [FriendDelete], [FriendBlackAdd] and [FriendBlackDelete].
type FriendChanged struct {
	FromID   string `json:"fromId"`
	ToID     string `json:"toId"`
	Sequence int64  `json:"sequence"`
}

// FriendsChanged is the payload of [FriendAllDelete] and [FriendRequestRead]: the sequence is that of the last that has changed.
type FriendsChanged struct {
	FromID   string `json:"fromId"`
	Sequence int64  `json:"sequence"`
}

// FriendRequested is the payload of [FriendRequest]: the request as it is now.
type FriendRequested struct {
	ID            int64  `json:"id"`
	AppID         int32  `json:"appId"`
	FromID        string `json:"fromId"`
	ToID          string `json:"toId"`
	Remark        string `json:"remark"`
	ReadStatus    int32  `json:"readStatus"`
	AddSource     string `json:"addSource"`
	AddWording    string `json:"addWording"`
	ApproveStatus int32  `json:"approveStatus"` // 0 open, 1 agreed, 2 rejected
	CreateTime    int64  `json:"createTime"`    // Unix milliseconds
	UpdateTime    int64  `json:"updateTime"`
	Sequence      int64  `json:"sequence"`
}

// FriendRequestDecided is the payload of [FriendRequestApprove].
type FriendRequestDecided struct {
	ID       int64  `json:"id"`
	FromID   string `json:"fromId"` // who has asked
	ToID     string `json:"toId"`   // who was asked
	Status   int32  `json:"status"` // 1 agreed, 2 rejected
	Sequence int64  `json:"sequence"`
}

// FriendGroupChanged is the payload of [FriendGroupAdd] and [FriendGroupDelete].
type FriendGroupChanged struct {
	FromID    string `json:"fromId"`
	GroupName string `json:"groupName"`
	Sequence  int64  `json:"sequence"`
}

// FriendGroupMembers is the payload of [FriendGroupMemberAdd] and [FriendGroupMemberDelete].
type FriendGroupMembers struct {
	FromID    string   `json:"fromId"`
	GroupName string   `json:"groupName"`
	ToIDs     []string `json:"toIds"`
	Sequence  int64    `json:"sequence"`
}
