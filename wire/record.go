package wire

import "github.com/whaleshark-im/whaleshark/chat"

// What a record is on the wire, whoever tells of it: the fan-out when it comes, the edge when it was missed or is asked for.

// WhereOf names a conversation: a pair by the user other, a group by its id.
func WhereOf(c chat.Conversation, other chat.UserID) Where {
	if c.Kind == chat.Group {
		return Where{To: other, Group: c.A}
	}
	return Where{To: other}
}

// OfKind returns the command for a pair or that for a group.
func OfKind(k chat.Kind, pair, group Command) Command {
	if k == chat.Group {
		return group
	}
	return pair
}

// PlacedOf returns a message's payload.
func PlacedOf(r *chat.Record, place chat.Place) Placed {
	to, _ := r.Conversation.Peer(r.Sender.User)
	w := WhereOf(r.Conversation, to)
	return Placed{
		Message: Message{MessageID: r.MessageID, To: w.To, Group: w.Group, Body: r.Body, Extra: r.Extra, MessageTime: r.MessageTime},
		From:    r.Sender, Place: place, Seq: r.Seq, Recalled: r.Erased,
	}
}

// RecalledOf returns a recall's payload.
func RecalledOf(r *chat.Record, place chat.Place) Recalled {
	to, _ := r.Conversation.Peer(r.Sender.User)
	return Recalled{
		Where: WhereOf(r.Conversation, to), By: r.Sender.User,
		Place: r.Recall.Place, Seq: r.Seq, MessageID: r.Recall.MessageID, RecallAt: place,
	}
}

// ReadPositionOf returns a read's payload: of a pair it names the other user, of a group nobody.
func ReadPositionOf(r *chat.Record, place chat.Place) ReadPosition {
	to, _ := r.Conversation.Peer(r.Sender.User)
	return ReadPosition{Where: WhereOf(r.Conversation, to), Reader: r.Sender.User, Seq: r.Seq, Place: place}
}

// SettingsOf returns the payloads of a setting of a conversation: what is set, and that it is deleted, in this order.
func SettingsOf(r *chat.Record, place chat.Place) []Setting {
	to, _ := r.Conversation.Peer(r.Sender.User)
	x := Setting{Command: ConversationUpdate, Where: WhereOf(r.Conversation, to), User: r.Sender.User, Place: place, Mute: r.Setting.Mute, Top: r.Setting.Top}
	var settings []Setting
	if x.Mute != chat.Unset || x.Top != chat.Unset {
		settings = append(settings, x)
	}
	if r.Setting.Delete {
		x.Command, x.Mute, x.Top = ConversationDelete, chat.Unset, chat.Unset
		settings = append(settings, x)
	}
	return settings
}

var eventCommands = map[chat.ChangeKind]Command{
	chat.GroupCreated:     CreatedGroup,
	chat.MembersJoined:    AddedMember,
	chat.MemberLeft:       ExitGroup,
	chat.MemberRemoved:    DeletedMember,
	chat.RoleSet:          UpdatedMember,
	chat.MemberMuted:      SpeakMember,
	chat.GroupMuted:       MuteGroup,
	chat.GroupDestroyed:   DestroyGroup,
	chat.GroupTransferred: TransferGroup,
	chat.GroupUpdated:     UpdatedGroup,
	chat.MemberUpdated:    UpdatedMember,
}

// GroupEventsOf returns the payloads of a group's change: one of each user that it is about, but those who come do so in one.
func GroupEventsOf(r *chat.Record, place chat.Place) []GroupEvent {
	c := r.Change
	users := c.Users
	if len(users) == 0 || c.Kind == chat.MembersJoined {
		users = []chat.UserID{""}
	}
	events := make([]GroupEvent, len(users))
	for i, u := range users {
		events[i] = GroupEvent{
			Command: eventCommands[c.Kind], Group: r.Conversation.A, Place: place, Version: c.Version, By: r.Sender.User,
			App: r.Conversation.App, Owner: u, Members: c.Users, Member: u, Role: int32(c.Role), Mute: c.On, SpeakDate: c.Until, Info: c.Info,
		}
	}
	return events
}
