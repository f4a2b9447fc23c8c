package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

func (b *batch) putSettings(ctx context.Context, tx pgx.Tx) error {
	refuse := func(s *settingRow, cause error) { b.reject(s.placed, cause) }
	var rows []*settingRow
	for _, s := range b.settings {
		if cause := s.conversation.refusal; cause != nil {
			refuse(s, cause)
		} else {
			rows = append(rows, s)
		}
	}
	return put(ctx, tx, rows, putSettings, refuse)
}

func putSettings(ctx context.Context, q *db.Queries, rows []*settingRow) error {
	var arg db.PutSettingsParams
	for _, s := range rows {
		arg.ConversationIds = append(arg.ConversationIds, s.conversation.id)
		arg.AppIds = append(arg.AppIds, int32(s.conversation.conversation.App))
		arg.UserIds = append(arg.UserIds, string(s.record.Sender.User))
		arg.Mutes = append(arg.Mutes, int16(s.settings.Mute))
		arg.Tops = append(arg.Tops, int16(s.settings.Top))
		arg.Cleared = append(arg.Cleared, int64(s.settings.Cleared))
		arg.Places = append(arg.Places, int64(s.settings.At))
	}
	return q.PutSettings(ctx, arg)
}

func chatSettings(mute, top int16, cleared, at int64) chat.Settings {
	return chat.Settings{
		Mute: chat.Switch(mute), Top: chat.Switch(top), Cleared: chat.Place(cleared), At: chat.Place(at), //nolint:gosec // a switch is 0 to 2
	}
}

// UserSettings are a user's settings of a conversation, as the rows have them.
type UserSettings struct {
	chat.ReadKey
	chat.Settings
}

// SettingKey is where a page of settings ended. The zero key is before the first.
type SettingKey struct {
	conversation int64
	user         chat.UserID
}

// Settings returns all settings after a key, at most limit of them, and the key for those that follow.
func (s *Store) Settings(ctx context.Context, after SettingKey, limit int) ([]UserSettings, SettingKey, error) {
	rows, err := s.queries.AllSettings(ctx, after.conversation, string(after.user), int32(limit)) //nolint:gosec // a page
	if err != nil {
		return nil, after, fmt.Errorf("read settings: %w", err)
	}
	settings := make([]UserSettings, len(rows))
	for i, row := range rows {
		c, err := chat.ParseConversation(row.Token)
		if err != nil {
			return nil, after, fmt.Errorf("read settings: %w", err)
		}
		settings[i].ReadKey = chat.ReadKey{Conversation: c, User: chat.UserID(row.UserID)}
		settings[i].Settings = chatSettings(row.Mute, row.Top, row.Cleared, row.Place)
		after = SettingKey{row.ConversationID, chat.UserID(row.UserID)}
	}
	return settings, after, nil
}
