package wire

// JoinRequest is the payload of [JoinGroup]: somebody's request to join a group as it is now.
type JoinRequest struct {
	GroupID    string `json:"groupId"`
	RequestID  int64  `json:"requestId"`
	FromID     string `json:"fromId"` // who asks
	Wording    string `json:"wording"`
	Status     int32  `json:"status"`              // 0 open, 1 agreed, 2 rejected
	HandledBy  string `json:"handledBy,omitempty"` // who has agreed or rejected
	CreateTime int64  `json:"createTime"`          // Unix milliseconds
	UpdateTime int64  `json:"updateTime"`
}
