package chat

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Event is what Postgres has decided beside the groups, whose changes are in the log: who is whose friend, how somebody is called, what an app
// may do. It goes through the outbox into the stream of events, from where the devices, the app's webhook and everybody's caches hear of
// it, at least once. Events of one aggregate come in their order.
type Event struct {
	ID        int64        `json:"id,omitempty"` // its number in the outbox
	App       AppID        `json:"app"`
	Aggregate string       `json:"aggregate"` // whom it is about: see [UserAggregate]
	Time      int64        `json:"time"`      // Unix milliseconds
	Frames    []EventFrame `json:"frames,omitempty"`
	Hook      *HookCall    `json:"hook,omitempty"`
	Stale     Stale        `json:"stale,omitzero"`
}

// MaxEvent is how many bytes an event may have as JSON when it is decided: the broker takes messages of a MiB, with its number and the
// message's header. One that it does not take would stop its aggregate for ever.
const MaxEvent = 1<<20 - 4<<10

// EventFrame is a frame for all devices of some users.
type EventFrame struct {
	Command int32           `json:"command"` // the wire's
	Users   []UserID        `json:"users"`
	Except  *Device         `json:"except,omitempty"` // the one that has asked for it
	Only    []SessionKey    `json:"only,omitempty"`   // not all of their devices, but these sessions
	Payload json.RawMessage `json:"payload,omitempty"`
}

// SessionKey names a session across edges.
type SessionKey struct {
	Edge    NodeID    `json:"edge"`
	Session SessionID `json:"session"`
}

// HookCall is what an app's webhook is told.
type HookCall struct {
	Command string          `json:"command"` // such as friend.add.after
	Body    json.RawMessage `json:"body"`
}

// Stale names what caches of Postgres's rows must forget.
type Stale struct {
	App       bool        `json:"app,omitempty"` // the app's own row
	Users     []UserID    `json:"users,omitempty"`
	Relations [][2]UserID `json:"relations,omitempty"` // from, to
}

// UserAggregate is the aggregate of what concerns a user.
func UserAggregate(u UserID) string { return "user/" + string(u) }

// GroupAggregate is the aggregate of what concerns a group.
func GroupAggregate(group string) string { return "group/" + group }

// AppAggregate is the aggregate of what concerns an app as a whole.
const AppAggregate = "app"

// Hooks are what an app wants to be told, and where.
type Hooks struct {
	URL        string   // empty: nothing
	Secrets    []string // calls are signed with each: one, or two while they are changed
	Commands   []string
	FailClosed bool // what a before-hook is asked about is refused when it does not answer
}

// On reports whether the app wants to be told of a command.
func (h *Hooks) On(command string) bool { return h.URL != "" && slices.Contains(h.Commands, command) }

// Check says what is wrong with hooks.
func (h *Hooks) Check() error {
	if h.URL != "" {
		u, err := url.Parse(h.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return errors.New("a webhook has a URL such as https://example.org/callback")
		}
	}
	if n := len(h.Secrets); n > 2 {
		return fmt.Errorf("a webhook has one secret, or two while they are changed; got %d", n)
	}
	for _, s := range h.Secrets {
		if _, err := HookKeyOf(s); err != nil {
			return err
		}
	}
	for _, c := range h.Commands {
		if !slices.Contains(HookCommands, c) {
			return fmt.Errorf("there is no hook %q", c)
		}
	}
	return nil
}

// HookKeyOf returns the bytes of a secret: those that are written in base64 after whsec_, or the text itself.
func HookKeyOf(secret string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok && secret != "" {
		return []byte(secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, errors.New("a webhook's secret is any text, or whsec_ and base64")
	}
	return key, nil
}

// The commands of hooks, with the original's names. A before-hook may veto what it is asked about, and some may replace it.
const (
	HookUserModified   = "user.modify.after"
	HookUserOnline     = "user.online"
	HookUserOffline    = "user.offline"
	HookFriendAdd      = "friend.add.before"
	HookFriendAdded    = "friend.add.after"
	HookFriendUpdate   = "friend.update.before"
	HookFriendUpdated  = "friend.update.after"
	HookFriendDeleted  = "friend.delete.after"
	HookBlackAdded     = "black.add.after"
	HookBlackDeleted   = "black.delete"
	HookGroupCreated   = "group.create.after"
	HookGroupUpdated   = "group.update.after"
	HookGroupDestroyed = "group.destory.after" // sic
	HookGroupTransfer  = "group.transfer.after"
	HookMemberAdd      = "group.member.add.before"
	HookMemberAdded    = "group.member.add.after"
	HookMemberDeleted  = "group.member.delete.after"
	HookMessageSend    = "message.send.before"
	HookMessageSent    = "message.send.after"
	HookMessageRead    = "message.read"
	HookMessageRecall  = "message.recall"
)

// HookCommands lists every command.
var HookCommands = []string{
	HookUserModified, HookUserOnline, HookUserOffline, HookFriendAdd, HookFriendAdded, HookFriendUpdate, HookFriendUpdated,
	HookFriendDeleted, HookBlackAdded, HookBlackDeleted, HookGroupCreated, HookGroupUpdated, HookGroupDestroyed, HookGroupTransfer,
	HookMemberAdd, HookMemberAdded, HookMemberDeleted, HookMessageSend, HookMessageSent, HookMessageRead, HookMessageRecall,
}

// HookQuestion is what an app's before-hook is asked about a request to the API.
type HookQuestion struct {
	App     AppID           `json:"app"`
	Command string          `json:"command"`
	Body    json.RawMessage `json:"body"`
}

// HookAnswer is what an app's before-hook has said.
type HookAnswer struct {
	Failed bool            `json:"failed,omitempty"` // it has not answered, or nonsense: Msg says why
	Code   Code            `json:"code,omitempty"`   // other than OK: it does not allow it
	Msg    string          `json:"msg,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
}
