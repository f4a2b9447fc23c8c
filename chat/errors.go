package chat

import (
	"fmt"
	"strconv"
)

// Code is an error code as clients see it. The original's codes keep their numbers; ours are the 9xxxx ones from 90002 on and
// 50006 to 50009.
type Code int32

// The codes that this server answers with. What each means, whether trying again can help, and whether the connection is
// closed with it stands in one table, [Codes].
const (
	OK Code = 200

	TooManyUsers     Code = 20000
	UserMissing      Code = 20001
	UserNotUpdated   Code = 20003
	TooManyFriends   Code = 30000
	FriendNotAdded   Code = 30001
	AlreadyFriends   Code = 30002
	NotFriends       Code = 30003
	FriendDeleted    Code = 30004
	DeletedByFriend  Code = 30005
	FriendBlocked    Code = 30006
	BlockedByFriend  Code = 30007
	RelationMissing  Code = 30008
	NotBlocked       Code = 30010
	NotYourRequest   Code = 30011
	RequestMissing   Code = 30012
	FriendGroupThere Code = 30015
	NoFriendGroup    Code = 30016

	GroupMissing       Code = 40000
	GroupExists        Code = 40001
	AlreadyMember      Code = 40003
	MemberNotAdded     Code = 40004
	MemberLimit        Code = 40005
	NotMember          Code = 40006
	ManagersOnly       Code = 40007
	AdminOnly          Code = 40008
	OwnerOnly          Code = 40009
	OwnerNotRemove     Code = 40010
	GroupIsMuted       Code = 40012
	SelfOnly           Code = 40014
	PrivateNotDestroy  Code = 40015
	PublicWithoutOwner Code = 40016
	MemberIsMuted      Code = 40017
	GroupIsGone        Code = 40018

	NothingToUpdate Code = 50000
	SenderMuted     Code = 50002
	SenderForbidden Code = 50003
	RecallTooLate   Code = 50004
	RecalledAlready Code = 50005
	MessageIDReused Code = 50006
	MessageMissing  Code = 50007
	NotYours        Code = 50008
	Vetoed          Code = 50009

	SignMissing     Code = 60000
	AppMissing      Code = 60001
	OperatorMissing Code = 60002
	SignWrong       Code = 60003
	SignExpired     Code = 60004
	SignOtherUser   Code = 60005

	NoEdge Code = 71000

	Internal         Code = 90000
	BadParameter     Code = 90001
	Busy             Code = 90002
	TooManyFrames    Code = 90003
	Unavailable      Code = 90004
	TooManyRequests  Code = 90005
	TooLarge         Code = 90006
	NoEndpoint       Code = 90007
	NotLoggedIn      Code = 90010
	UnknownCommand   Code = 90011
	BadEncoding      Code = 90012
	BadBody          Code = 90013
	BadString        Code = 90014
	BadLength        Code = 90015
	BadClientType    Code = 90016
	AlreadyLoggedIn  Code = 90017
	LoginTimeout     Code = 90020
	HeartbeatTimeout Code = 90021
	SlowConsumer     Code = 90022
	Replaced         Code = 90023
	GoingAway        Code = 90024
	Kicked           Code = 90025
)

// CodeInfo is a row of the table of codes.
type CodeInfo struct {
	Code      Code
	Name      string // one word for logs and metrics
	Meaning   string // one sentence for people; also the wire's msg
	Retryable bool   // the same request may succeed later; otherwise it is final
	Closes    bool   // the server closes the connection after it
}

// Codes is the table of every code that this server answers with, in the order of their numbers.
var Codes = []CodeInfo{
	{OK, "ok", "success", false, false},
	{TooManyUsers, "too_many_users", "too many users at once", false, false},
	{UserMissing, "user_missing", "the user does not exist", false, false},
	{UserNotUpdated, "user_not_updated", "the user was not updated: there is nothing to change", false, false},
	{TooManyFriends, "too_many_friends", "too many friends at once", false, false},
	{FriendNotAdded, "friend_not_added", "the other side takes no requests for friendship", false, false},
	{AlreadyFriends, "already_friends", "you are friends already", false, false},
	{NotFriends, "not_friends", "not your friend", false, false},
	{FriendDeleted, "friend_deleted", "you have deleted this friend", false, false},
	{DeletedByFriend, "deleted_by_friend", "the other side has deleted you", false, false},
	{FriendBlocked, "friend_blocked", "you have blocked this friend", false, false},
	{BlockedByFriend, "blocked_by_friend", "the other side has blocked you", false, false},
	{RelationMissing, "relation_missing", "you are not friends", false, false},
	{NotBlocked, "not_blocked", "the user is not on your blacklist", false, false},
	{NotYourRequest, "not_your_request", "only whom a request is addressed to may decide it", false, false},
	{RequestMissing, "request_missing", "there is no such open request", false, false},
	{FriendGroupThere, "friend_group_exists", "a friend group of this name exists already", false, false},
	{NoFriendGroup, "friend_group_missing", "there is no such friend group", false, false},
	{GroupMissing, "group_missing", "the group does not exist", false, false},
	{GroupExists, "group_exists", "the group exists already", false, false},
	{AlreadyMember, "already_member", "the user is a member already", false, false},
	{MemberNotAdded, "member_not_added", "the group takes no members by themselves", false, false},
	{MemberLimit, "member_limit", "the group has as many members as it may have", false, false},
	{NotMember, "not_member", "not a member of the conversation", false, false},
	{ManagersOnly, "managers_only", "only managers and the owner may do this", false, false},
	{AdminOnly, "admin_only", "only an administrator of the app may do this", false, false},
	{OwnerOnly, "owner_only", "only the owner may do this", false, false},
	{OwnerNotRemove, "owner_not_removed", "the owner cannot be removed", false, false},
	{GroupIsMuted, "group_muted", "the group is muted", false, false},
	{SelfOnly, "self_only", "only oneself may do this", false, false},
	{PrivateNotDestroy, "private_not_destroyed", "a private group is destroyed by an administrator of the app alone", false, false},
	{PublicWithoutOwner, "public_without_owner", "a public group needs an owner", false, false},
	{MemberIsMuted, "member_muted", "the member is muted", false, false},
	{GroupIsGone, "group_destroyed", "the group was destroyed", false, false},
	{NothingToUpdate, "nothing_to_update", "there is nothing to update", false, false},
	{SenderMuted, "sender_muted", "the sender is muted", false, false},
	{SenderForbidden, "sender_forbidden", "the sender is forbidden", false, false},
	{RecallTooLate, "recall_too_late", "the message is too old to be recalled", false, false},
	{RecalledAlready, "recalled_already", "the message was recalled already", false, false},
	{MessageIDReused, "message_id_reused", "this messageId was used for another message", false, false},
	{MessageMissing, "message_missing", "there is no such message in the conversation", false, false},
	{NotYours, "not_yours", "only its sender, or a group's managers and owner, may recall a message", false, false},
	{Vetoed, "vetoed", "the app does not allow this message", false, false},
	{SignMissing, "sign_missing", "a userSign is needed", false, false},
	{AppMissing, "app_missing", "the app does not exist", false, false},
	{OperatorMissing, "operator_missing", "who asks is missing: operater, or identifier", false, false},
	{SignWrong, "sign_wrong", "the userSign is wrong", false, false},
	{SignExpired, "sign_expired", "the userSign has expired", false, false},
	{SignOtherUser, "sign_other_user", "the userSign belongs to another user", false, false},
	{NoEdge, "no_edge", "no edge is there to log in to; try again", true, false},
	{Internal, "internal", "internal error", true, false},
	{BadParameter, "bad_parameter", "a field is missing or out of its limits", false, false},
	{Busy, "busy", "the server is busy; send again", true, false},
	{TooManyFrames, "too_many_frames", "too many frames; slow down and send again", true, false},
	{Unavailable, "unavailable", "what this needs is not available now; send again", true, false},
	{TooManyRequests, "too_many_requests", "too many requests; slow down and send again", true, false},
	{TooLarge, "too_large", "the body is too large", false, false},
	{NoEndpoint, "no_endpoint", "there is no such endpoint", false, false},
	{NotLoggedIn, "not_logged_in", "log in first", false, false},
	{UnknownCommand, "unknown_command", "unknown command", false, false},
	{BadEncoding, "bad_encoding", "messageType must be 0 (JSON) or 1 (protobuf)", false, false},
	{BadBody, "bad_body", "the body must be a JSON object or the command's protobuf message", false, false},
	{BadString, "bad_string", "a string holds U+0000, a lone surrogate or invalid UTF-8", false, false},
	{BadLength, "bad_length", "a length is negative or above its limit", false, true},
	{BadClientType, "bad_client_type", "clientType must be 0 to 5", false, false},
	{AlreadyLoggedIn, "already_logged_in", "this connection has logged in already", false, false},
	{LoginTimeout, "login_timeout", "no login in time", true, true},
	{HeartbeatTimeout, "heartbeat_timeout", "no heartbeat in time", true, true},
	{SlowConsumer, "slow_consumer", "the client reads too slowly", true, true},
	{Replaced, "replaced", "a newer login of the same device has replaced this one", false, true},
	{GoingAway, "going_away", "the server is going away; connect again", true, true},
	{Kicked, "kicked", "another device's login has ended this session", false, true},
}

var codes = func() map[Code]CodeInfo {
	m := make(map[Code]CodeInfo, len(Codes))
	for _, info := range Codes {
		m[info.Code] = info
	}
	return m
}()

// Info returns the code's row; a code that is not in the table is answered with that of [Internal].
func (c Code) Info() CodeInfo {
	if info, ok := codes[c]; ok {
		return info
	}
	return codes[Internal]
}

// String returns the code's name, as logs and metrics show it.
func (c Code) String() string {
	if info, ok := codes[c]; ok {
		return info.Name
	}
	return "code(" + strconv.Itoa(int(c)) + ")"
}

// Error is what a client may see of a failure. Everything else is internal: logged with its cause, shown as [Internal].
type Error struct {
	Code   Code
	Reason string // more than the code's meaning, for the client's developer; may be empty
}

// Error implements error.
func (e Error) Error() string {
	if e.Reason == "" {
		return e.Code.Info().Meaning
	}
	return e.Reason
}

// Errorf returns an [Error] with a reason.
func Errorf(c Code, format string, args ...any) Error {
	return Error{Code: c, Reason: fmt.Sprintf(format, args...)}
}
