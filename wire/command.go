package wire

import "strconv"

// Command tells what a frame is.
type Command int32

// The commands of the protocol, with who sends them and what their payload holds. A question mark: the field may be absent.
const (
	Send    Command = 1103 // both ways, a [Message]; up: messageId, toId, messageBody, messageTime?, extra?, first?; down: the same with fromId, messageKey, messageSequence and the sender's appId, clientType, imei
	SendAck Command = 1046 // down, to the sending device, an [Ack]: code, msg, ok, and in data messageId? and, of a placed message, messageSequence
	Receive Command = 1107 // both ways, a [Receipt]; up: toId (who sent the message), messageSequence, messageKey?, messageId?; down: the same with fromId, serverSend and the receiver's appId, clientType, imei

	Login    Command = 9000 // up, [Credentials]: userId, userSign?; appId, clientType and imei are those of the header
	LoginAck Command = 9001 // down, a [Welcome]: code, msg, data; on success to protocol 3 alone, on refusal to every version
	Kick     Command = 9002 // down: another login has ended this session; no payload
	Logout   Command = 9003 // up: anything; the server closes the connection
	Refuse   Command = 9004 // down, protocol 3 alone, a [Refusal]: code, msg, and in data the refused command and messageId?; command 0: the connection itself
	Ping     Command = 9999 // both ways; up: anything; down, protocol 3 alone, a [Pong]: serverTime
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
