package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// GroupView is a group as one user sees it.
type GroupView struct {
	Group
	Members  int
	IsMember bool            // the user is one of them
	Role     chat.MemberRole // his, if he is
}

// Group returns a group as a user sees it, or [chat.GroupMissing].
func (s *Store) Group(ctx context.Context, group chat.Conversation, viewer chat.UserID) (GroupView, error) {
	row, err := s.queries.GroupByID(ctx, string(viewer), int32(group.App), group.A)
	if errors.Is(err, pgx.ErrNoRows) {
		return GroupView{}, chat.Error{Code: chat.GroupMissing}
	}
	if err != nil {
		return GroupView{}, groupError("read", group, err)
	}
	view := GroupView{Group: groupOf(row.ChatGroup), Members: int(row.Members), IsMember: row.ViewerRole >= 0}
	if view.IsMember {
		view.Role = chat.MemberRole(row.ViewerRole) //nolint:gosec // a role is 0 to 2
	}
	return view, nil
}

// Groups returns those of the groups that there are, in the order of their ids.
func (s *Store) Groups(ctx context.Context, app chat.AppID, ids []string) ([]Group, error) {
	rows, err := s.queries.GroupsByID(ctx, int32(app), ids)
	if err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	return groupsOf(rows), nil
}

func groupsOf(rows []db.ChatGroup) []Group {
	groups := make([]Group, len(rows))
	for i, row := range rows {
		groups[i] = groupOf(row)
	}
	return groups
}

// JoinedGroups returns a page of the groups that a user is in, those that he joined first coming first, and how many there are. No types are all.
func (s *Store) JoinedGroups(ctx context.Context, user chat.UserKey, types []GroupType, page, size int) ([]Group, int, error) {
	numbers := make([]int16, len(types))
	for i, t := range types {
		numbers[i] = int16(t)
	}
	total, err := s.queries.CountJoinedGroups(ctx, int32(user.App), string(user.User), numbers)
	if err != nil {
		return nil, 0, fmt.Errorf("count the groups of %s: %w", user.User, err)
	}
	rows, err := s.queries.JoinedGroups(ctx, db.JoinedGroupsParams{
		AppID: int32(user.App), UserID: string(user.User), GroupTypes: numbers,
		MaxRows: int32(size), Skipped: int32(page * size), //nolint:gosec // a page
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read the groups of %s: %w", user.User, err)
	}
	return groupsOf(rows), int(total), nil
}

// FirstMembers returns the owner, the managers and then the others of a group, at most limit of them.
func (s *Store) FirstMembers(ctx context.Context, group chat.Conversation, limit int) ([]Member, error) {
	rows, err := s.queries.FirstMembers(ctx, int32(limit), int32(group.App), group.A) //nolint:gosec // a page
	if err != nil {
		return nil, groupError("read the members of", group, err)
	}
	return membersOf(rows), nil
}

// MembersAfter returns the members of a group whose ids come after one, in their order, at most limit of them.
func (s *Store) MembersAfter(ctx context.Context, group chat.Conversation, after chat.UserID, limit int) ([]Member, error) {
	rows, err := s.queries.MembersAfter(ctx, db.MembersAfterParams{
		AppID: int32(group.App), GroupID: group.A, After: string(after), MaxRows: int32(limit), //nolint:gosec // a page
	})
	if err != nil {
		return nil, groupError("read the members of", group, err)
	}
	return membersOf(rows), nil
}

func membersOf(rows []db.GroupMember) []Member {
	members := make([]Member, len(rows))
	for i, row := range rows {
		members[i] = memberOf(row)
	}
	return members
}
