package wire

import "strconv"

// Command tells what a frame is.
type Command int32

// The commands of the protocol, with who sends them and what their payload holds. A question mark: the field may be absent.
const (
	Send    Command = 1103 // both ways, a [Message]; up: messageId, toId, messageBody, messageTime?, extra?, first?; down: the same with fromId, messageKey, messageSequence and the sender's appId, clientType, imei
	SendAck Command = 1046 // down, to the sending device, an [Ack]: code, msg, ok, and in data messageId? and, of a placed message, messageSequence
	Receive Command = 1107 // both ways, a [Receipt]; up: toId (who sent the message), messageSequence, messageKey?, messageId?; down: the same with fromId, serverSend and the receiver's appId, clientType, imei

	GroupSend    Command = 2104 // both ways, a [Message]: as Send, with groupId instead of toId
	GroupSendAck Command = 2047 // down, to the sending device, an [Ack]: as SendAck

	Read             Command = 1106 // up, a [ReadUpTo]: toId (who sent the message), messageSequence: everything up to there is read
	ReadNotify       Command = 1053 // down, to the reader's other devices, a [ReadPosition]: fromId (the reader), toId, messageSequence, conversationType, messageKey? (the place of the read itself)
	ReadReceipt      Command = 1054 // down, to who sent the messages, a [ReadPosition]
	GroupRead        Command = 2106 // up, a [ReadUpTo]: groupId, toId?, messageSequence
	GroupReadNotify  Command = 2053 // down, as ReadNotify, with groupId
	GroupReadReceipt Command = 2054 // down, as ReadReceipt, with groupId

	Recall       Command = 1050 // up, a [RecallOf]: toId or groupId, messageKey or messageSequence, messageId?
	RecallAck    Command = 1051 // down, to the asking device, a [RecallAnswer]: code, msg, ok, and in data messageKey?, messageSequence?, messageId?
	RecallNotify Command = 1052 // down, to everyone in the conversation, a [Recalled]: fromId (who recalled), toId or groupId, messageKey, messageSequence and messageId of the message, recallKey (the place of the recall itself), conversationType

	Typing       Command = 1055 // both ways, not stored; up, [TypingIn]: toId or groupId; down, [TypingBy]: the same with fromId and the device's appId, clientType, imei
	Status       Command = 4001 // up, a [StatusSet]: status (see [Online]), customStatus?
	StatusNotify Command = 4004 // down, to who watches the user, a [UserStatus]: userId, status, customStatus?
	StatusSync   Command = 4005 // down, to the user's other devices, a [DeviceStatus]: the same with the setting device's appId, clientType, imei
	Watch        Command = 4006 // both ways; up, a [WatchOf]: userIds (an empty list ends every watch), ttlMs?; down, a [Watching]: code, msg, and in data ttlMs and users, each a [UserStatus]

	JoinGroup Command = 2000 // down, to a group's managers and owner and, once it is decided, to who has asked, a [JoinRequest]: groupId, requestId, fromId (who asks), wording, status (0 open, 1 agreed, 2 rejected), handledBy?, createTime, updateTime

	// What happened to a group: down, to its members, a [GroupEvent]: groupId, messageKey (the event's own place), sequence (its number in the group), fromId? (who did it).
	AddedMember   Command = 2001 // also members
	CreatedGroup  Command = 2002 // also ownerId, members, appId, and what describes the group: groupType?, groupName?, mute?, applyJoinType?, introduction?, notification?, photo?, status?, createTime?, extra? …
	UpdatedGroup  Command = 2003 // also what is another of it now: groupName?, mute?, introduction?, notification?, photo?, applyJoinType?, maxMemberCount?, extra? …
	ExitGroup     Command = 2004 // also memberId, who left
	UpdatedMember Command = 2005 // also memberId, and what is another of him now: role?, alias?, extra? …
	DeletedMember Command = 2006 // also member, who was removed
	DestroyGroup  Command = 2007 // nothing more
	TransferGroup Command = 2008 // also ownerId, the new one
	MuteGroup     Command = 2009 // also mute, 0 or 1
	SpeakMember   Command = 2010 // also memberId, speakDate: muted until then in Unix milliseconds; 0: may speak

	GroupNews Command = 2105 // down, [News]: groupId, messageSequence, messageKey: a very large group has something new, which is to be pulled

	// What changes among a user's friends: down, to his own other devices. A sequence is the user's own, see getUserSequence.
	FriendAdd               Command = 3000 // a [FriendAdded]: fromId, toId, remark, addSource, sequence; also to the new friend, whose side it then is
	FriendUpdate            Command = 3001 // a [FriendUpdated]: fromId, toId, remark, addSource, extra, sequence
	FriendDelete            Command = 3002 // a [FriendChanged]: fromId, toId, sequence
	FriendRequest           Command = 3003 // to who is asked, a [FriendRequested]: id, appId, fromId, toId, remark, readStatus, addSource, addWording, approveStatus, createTime, updateTime, sequence
	FriendRequestRead       Command = 3004 // a [FriendsChanged]: fromId, sequence: all requests to him are read
	FriendRequestApprove    Command = 3005 // a [FriendRequestDecided]: id, fromId, toId, status (1 agreed, 2 rejected), sequence; also to who has asked
	FriendBlackAdd          Command = 3010 // a [FriendChanged]
	FriendBlackDelete       Command = 3011 // a [FriendChanged]
	FriendGroupAdd          Command = 3012 // a [FriendGroupChanged]: fromId, groupName, sequence
	FriendGroupDelete       Command = 3013 // a [FriendGroupChanged]
	FriendGroupMemberAdd    Command = 3014 // a [FriendGroupMembers]: fromId, groupName, toIds, sequence
	FriendGroupMemberDelete Command = 3015 // a [FriendGroupMembers]
	FriendAllDelete         Command = 3016 // a [FriendsChanged]: fromId, sequence

	UserModify Command = 4000 // down, to the user's own other devices, a [UserModified]: userId, nickName, location, birthDay, photo, userSex, selfSignature, friendAllowType, extra

	ConversationDelete Command = 5000 // down, to the user's other devices, a [Setting]: conversationId, conversationType, toId or groupId, messageKey (its own place): what was before is no longer his to see
	ConversationUpdate Command = 5001 // down, to the user's other devices, a [Setting]: the same with sequence (the same as messageKey), isMute? and isTop?, each 0 or 1

	Changes Command = 6000 // both ways; up, [ChangesSince]: cursor (0: the beginning), requestId?, limit?; down, a [ChangesPage]: code, msg, and in data cursor, completed, conversations (each a [ChangedConversation]), requestId?
	History Command = 6001 // both ways; up, a [HistoryOf]: toId or groupId, fromSequence? and toSequence? or fromKey? and toKey?, descending?, requestId?, limit?; down, a [HistoryPage]: code, msg, and in data completed, records (each a [HistoryRecord]), requestId?
	Pull    Command = 6002 // both ways, as the original pulled what was missed; up, [PullSince]: lastKey, requestId?, limit?; down, a [PullPage]: code, msg, and in data maxKey, completed, truncated, messages, requestId?

	Login    Command = 9000 // up, [Credentials]: userId, userSign?, cursor? (see [Welcome]; present: send what was missed); appId, clientType and imei are those of the header
	LoginAck Command = 9001 // down, a [Welcome]: code, msg, data; on success to protocol 3 alone, on refusal to every version
	Kick     Command = 9002 // down: another login has ended this session; no payload
	Logout   Command = 9003 // up: anything; the server closes the connection
	Refuse   Command = 9004 // down, protocol 3 alone, a [Refusal]: code, msg, and in data the refused command and messageId?; command 0: the connection itself
	Ping     Command = 9999 // both ways; up: anything; down, protocol 3 alone, a [Pong]: serverTime, cursor
)

// The protocol versions, as the header of a frame carries them. Versions 1 and 2 are the original's, and treated alike.
const (
	Version1 int32 = 1
	Version2 int32 = 2
	Version3 int32 = 3 // acknowledges logins and pings, and says why a frame was refused
)

// String returns the command's name, as logs and metrics show it.
func (c Command) String() string {
	switch c {
	case Send:
		return "send"
	case SendAck:
		return "send_ack"
	case Receive:
		return "receive"
	case GroupSend:
		return "group_send"
	case GroupSendAck:
		return "group_send_ack"
	case Read:
		return "read"
	case ReadNotify:
		return "read_notify"
	case ReadReceipt:
		return "read_receipt"
	case GroupRead:
		return "group_read"
	case GroupReadNotify:
		return "group_read_notify"
	case GroupReadReceipt:
		return "group_read_receipt"
	case Recall:
		return "recall"
	case RecallAck:
		return "recall_ack"
	case RecallNotify:
		return "recall_notify"
	case Typing:
		return "typing"
	case Status:
		return "status"
	case StatusNotify:
		return "status_notify"
	case StatusSync:
		return "status_sync"
	case Watch:
		return "watch"
	case JoinGroup:
		return "join_group"
	case AddedMember:
		return "added_member"
	case CreatedGroup:
		return "created_group"
	case UpdatedGroup:
		return "updated_group"
	case ExitGroup:
		return "exit_group"
	case UpdatedMember:
		return "updated_member"
	case DeletedMember:
		return "deleted_member"
	case DestroyGroup:
		return "destroy_group"
	case TransferGroup:
		return "transfer_group"
	case MuteGroup:
		return "mute_group"
	case SpeakMember:
		return "speak_member"
	case GroupNews:
		return "group_news"
	case FriendAdd:
		return "friend_add"
	case FriendUpdate:
		return "friend_update"
	case FriendDelete:
		return "friend_delete"
	case FriendRequest:
		return "friend_request"
	case FriendRequestRead:
		return "friend_request_read"
	case FriendRequestApprove:
		return "friend_request_approve"
	case FriendBlackAdd:
		return "friend_black_add"
	case FriendBlackDelete:
		return "friend_black_delete"
	case FriendGroupAdd:
		return "friend_group_add"
	case FriendGroupDelete:
		return "friend_group_delete"
	case FriendGroupMemberAdd:
		return "friend_group_member_add"
	case FriendGroupMemberDelete:
		return "friend_group_member_delete"
	case FriendAllDelete:
		return "friend_all_delete"
	case UserModify:
		return "user_modify"
	case ConversationDelete:
		return "conversation_delete"
	case ConversationUpdate:
		return "conversation_update"
	case Changes:
		return "changes"
	case History:
		return "history"
	case Pull:
		return "pull"
	case Login:
		return "login"
	case LoginAck:
		return "login_ack"
	case Kick:
		return "kick"
	case Logout:
		return "logout"
	case Refuse:
		return "refuse"
	case Ping:
		return "ping"
	}
	return "command(" + strconv.Itoa(int(c)) + ")"
}
