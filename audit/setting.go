package audit

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

func (v *verifier) setting(e *expected) error {
	r := &e.record
	if _, his := r.Conversation.Peer(r.Sender.User); !his && len(v.rules.group(r.Conversation).roster.Stays(r.Sender.User)) == 0 {
		return e.fault("%s sets what is not his", r.Sender.User)
	}
	if e.revision <= v.marks[e.partition].Revision {
		key := settingKey(r)
		s := v.rules.settings[key]
		s.Fold(e.place, r.Setting)
		v.rules.settings[key] = s
	}
	return nil
}

func settingKey(r *chat.Record) chat.ReadKey {
	return chat.ReadKey{Conversation: r.Conversation, User: r.Sender.User}
}

// compareSettings holds the rows of settings against the log up to the mark. A row may be ahead of it: Postgres goes on meanwhile.
func (v *verifier) compareSettings(ctx context.Context) error {
	wanted := v.rules.settings
	for key := range v.rules.unset {
		delete(wanted, key)
	}
	const page = 5000
	for after := (store.SettingKey{}); ; {
		rows, next, err := v.rows.Settings(ctx, after, page)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := v.compareSetting(&rows[i]); err != nil {
				return err
			}
		}
		if after = next; len(rows) < page {
			break
		}
	}
	for key, s := range wanted {
		return v.rowFault(key.Conversation, s.At, "postgres does not have %s's settings", key.User)
	}
	return nil
}

func (v *verifier) compareSetting(row *store.UserSettings) error {
	want, ok := v.rules.settings[row.ReadKey]
	delete(v.rules.settings, row.ReadKey)
	mark := v.marks[row.Conversation.Partition(v.partitions)].Revision
	switch {
	case v.rules.unset[row.ReadKey], row.At.Revision(v.base) > mark:
	case !ok:
		return v.rowFault(row.Conversation, row.At, "postgres has settings of %s that the log does not", row.User)
	case want != row.Settings:
		return v.rowFault(row.Conversation, row.At, "postgres has %s's settings as %+v, want %+v", row.User, row.Settings, want)
	}
	return nil
}
