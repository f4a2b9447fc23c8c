package wire

// UserModified is the payload of [UserModify]: how a user's profile is now.
type UserModified struct {
	UserID          string `json:"userId"`
	NickName        string `json:"nickName"`
	Location        string `json:"location"`
	BirthDay        string `json:"birthDay"`
	Photo           string `json:"photo"`
	UserSex         string `json:"userSex"` // a number in a string, as the original has it
	SelfSignature   string `json:"selfSignature"`
	FriendAllowType int32  `json:"friendAllowType"`
	Extra           string `json:"extra"`
}
