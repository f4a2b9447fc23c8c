package store

import (
	"context"

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
