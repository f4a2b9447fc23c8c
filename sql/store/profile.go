package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Profile is what is known of a user, but for his password.
type Profile struct {
	ID            chat.UserID
	NickName      string
	Location      string
	BirthDay      string
	Photo         string
	SelfSignature string
	Extra         string
	Sex           int32
	AllowType     int32 // the original's numbers: 1 anyone becomes his friend, 2 asks first
	Type          int32 // the original's: 1 a user, 100 an administrator
	TakesNoFriend bool  // nobody may ask for his friendship
	Forbidden     bool  // may do nothing
	Silent        bool  // may not speak
}

// NewUser is a user that is to be.
type NewUser struct {
	Profile

	PasswordHash string // empty: none
}

// Profiles returns those of the users that exist.
func (s *Store) Profiles(ctx context.Context, app chat.AppID, users []chat.UserID) ([]Profile, error) {
	rows, err := s.queries.Profiles(ctx, int32(app), texts(users))
	if err != nil {
		return nil, fmt.Errorf("read %d profiles: %w", len(users), err)
	}
	profiles := make([]Profile, len(rows))
	for i, row := range rows {
		profiles[i] = profileOf(row)
	}
	return profiles, nil
}

func profileOf(row db.ProfilesRow) Profile {
	return Profile{
		ID: chat.UserID(row.UserID), NickName: row.NickName, Location: row.Location, BirthDay: row.BirthDay, Photo: row.Photo,
		SelfSignature: row.SelfSignature, Extra: row.Extra, Sex: int32(row.UserSex), AllowType: int32(row.FriendAllowType), Type: int32(row.UserType),
		TakesNoFriend: row.DisableAddFriend, Forbidden: row.Forbidden, Silent: row.Silent,
	}
}

// ImportUsers adds users, each id once, and returns those that it has added: an id that was given before, to somebody who is gone too, is not
// given again.
func (s *Store) ImportUsers(ctx context.Context, app chat.AppID, users []NewUser) (added []chat.UserID, err error) {
	users = slices.Clone(users)
	slices.SortFunc(users, func(a, b NewUser) int { return cmp.Compare(a.ID, b.ID) }) // two imports of the same users do not wait for each other
	arg := db.ImportUsersParams{AppID: int32(app)}
	for i := range users {
		u := &users[i]
		arg.UserIds = append(arg.UserIds, string(u.ID))
		arg.NickNames = append(arg.NickNames, u.NickName)
		arg.Locations = append(arg.Locations, u.Location)
		arg.BirthDays = append(arg.BirthDays, u.BirthDay)
		arg.Photos = append(arg.Photos, u.Photo)
		arg.UserSexes = append(arg.UserSexes, int16(u.Sex)) //nolint:gosec // checked where it came in
		arg.SelfSignatures = append(arg.SelfSignatures, u.SelfSignature)
		arg.FriendAllowTypes = append(arg.FriendAllowTypes, int16(u.AllowType)) //nolint:gosec // checked where it came in
		arg.DisableAddFriends = append(arg.DisableAddFriends, u.TakesNoFriend)
		arg.Forbiddens = append(arg.Forbiddens, u.Forbidden)
		arg.Silents = append(arg.Silents, u.Silent)
		arg.UserTypes = append(arg.UserTypes, int16(u.Type)) //nolint:gosec // checked where it came in
		arg.Extras = append(arg.Extras, u.Extra)
		arg.PasswordHashes = append(arg.PasswordHashes, u.PasswordHash)
	}
	err = s.change(ctx, "import users", func(q *db.Queries) ([]chat.Event, error) {
		ids, err := q.ImportUsers(ctx, arg)
		if err != nil {
			return nil, err
		}
		added = userIDs(ids)
		return staleUsers(app, added), nil
	})
	return added, err
}

func userIDs(ids []string) []chat.UserID {
	users := make([]chat.UserID, len(ids))
	for i, id := range ids {
		users[i] = chat.UserID(id)
	}
	return users
}

// staleUsers says of each user that what caches hold of him is stale.
func staleUsers(app chat.AppID, users []chat.UserID) []chat.Event {
	events := make([]chat.Event, len(users))
	for i, u := range users {
		events[i] = staleUser(app, u)
	}
	return events
}

func staleUser(app chat.AppID, u chat.UserID) chat.Event {
	return chat.Event{App: app, Aggregate: chat.UserAggregate(u), Stale: chat.Stale{Users: []chat.UserID{u}}}
}

// DeleteUsers lets users be gone, and returns those that were there. Their rows stay: what they have said is still theirs. Tell says what their
// devices are told.
func (s *Store) DeleteUsers(
	ctx context.Context, app chat.AppID, users []chat.UserID, tell func(chat.UserID) []chat.EventFrame,
) (deleted []chat.UserID, err error) {
	err = s.change(ctx, "delete users", func(q *db.Queries) ([]chat.Event, error) {
		ids, err := q.DeleteUsers(ctx, int32(app), texts(users))
		if err != nil {
			return nil, err
		}
		deleted = userIDs(ids)
		events := staleUsers(app, deleted)
		for i, u := range deleted {
			events[i].Frames = tell(u)
		}
		return events, nil
	})
	return deleted, err
}

// Modification is what changes of a user; nil: nothing.
type Modification struct {
	NickName      *string
	Location      *string
	BirthDay      *string
	Photo         *string
	SelfSignature *string
	Extra         *string
	PasswordHash  *string
	Sex           *int32
	AllowType     *int32
	Type          *int32
	TakesNoFriend *bool
	Forbidden     *bool
	Silent        *bool
}

// ModifyUser changes a user, or returns [chat.UserMissing]. Tell makes the event of it; what it makes stale is seen to.
func (s *Store) ModifyUser(
	ctx context.Context, app chat.AppID, user chat.UserID, m Modification, tell func(Profile) chat.Event,
) (p Profile, err error) {
	arg := db.ModifyUserParams{
		AppID: int32(app), UserID: string(user), NickName: textOrNull(m.NickName), Location: textOrNull(m.Location), BirthDay: textOrNull(m.BirthDay),
		Photo: textOrNull(m.Photo), SelfSignature: textOrNull(m.SelfSignature), Extra: textOrNull(m.Extra), PasswordHash: textOrNull(m.PasswordHash),
		UserSex: smallOrNull(m.Sex), FriendAllowType: smallOrNull(m.AllowType), UserType: smallOrNull(m.Type),
		DisableAddFriend: boolOrNull(m.TakesNoFriend), Forbidden: boolOrNull(m.Forbidden), Silent: boolOrNull(m.Silent),
	}
	err = s.change(ctx, fmt.Sprintf("modify user %s", user), func(q *db.Queries) ([]chat.Event, error) {
		row, err := q.ModifyUser(ctx, arg)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, chat.Error{Code: chat.UserMissing}
		}
		if err != nil {
			return nil, err
		}
		p = profileOf(db.ProfilesRow(row))
		e := tell(p)
		e.Stale.Users = append(e.Stale.Users, user)
		return []chat.Event{e}, nil
	})
	return p, err
}

// textOrNull, and those that follow: what is nil is NULL.
func textOrNull(s *string) pgtype.Text {
	if s == nil {
		return pgtype.Text{}
	}
	return pgtype.Text{String: *s, Valid: true}
}

func smallOrNull(n *int32) pgtype.Int2 {
	if n == nil {
		return pgtype.Int2{}
	}
	return pgtype.Int2{Int16: int16(*n), Valid: true} //nolint:gosec // checked where it came in
}

func boolOrNull(b *bool) pgtype.Bool {
	if b == nil {
		return pgtype.Bool{}
	}
	return pgtype.Bool{Bool: *b, Valid: true}
}
