package api

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

func (a *API) joinedGroupEndpoints() []endpoint {
	return of("group",
		define("/v1/group/syncJoinedGroup", "The operater's groups that have changed, and those that he has left since.",
			forUsers, a.syncJoinedGroups),
	)
}

// The numbers of a group's status, the original's.
const (
	groupStands    = 1
	groupDestroyed = 2
)

// joinedGroup is a group of a user's, or, if he has left it, the news of that and no more.
type joinedGroup struct {
	AppID          int32  `json:"appId"`
	GroupID        string `json:"groupId"`
	Sequence       int64  `json:"sequence" about:"Of its newest change, or of his leaving; it grows with every one, over all groups."`
	Left           bool   `json:"left"`
	Destroyed      bool   `json:"destroyed"`
	Status         int32  `json:"status,omitzero" about:"1 it stands, 2 it was destroyed."`
	OwnerID        string `json:"ownerId,omitzero"`
	GroupType      int32  `json:"groupType,omitzero" about:"1 private, 2 public."`
	GroupName      string `json:"groupName"`
	Mute           int32  `json:"mute"`
	ApplyJoinType  int32  `json:"applyJoinType" about:"0 nobody, 1 whom a manager lets in, 2 anybody."`
	Introduction   string `json:"introduction"`
	Notification   string `json:"notification"`
	Photo          string `json:"photo"`
	Extra          string `json:"extra"`
	MaxMemberCount int32  `json:"maxMemberCount,omitzero"`
	CreateTime     int64  `json:"createTime,omitzero"`
	UpdateTime     int64  `json:"updateTime,omitzero"`
}

func (a *API) syncJoinedGroups(ctx context.Context, c *call, in *syncSince) (*syncPage[joinedGroup], error) {
	changes, err := a.history.Groups(ctx, c.key(), chat.Place(in.LastSequence), int(in.MaxLimit))
	if err != nil {
		return nil, err
	}
	rows, err := a.groupRows(ctx, c.app.ID, changes.Groups)
	if err != nil {
		return nil, err
	}
	out := &syncPage[joinedGroup]{MaxSequence: int64(changes.Cursor), Completed: changes.Completed}
	out.DataList = make([]joinedGroup, len(changes.Groups))
	for i := range changes.Groups {
		s := &changes.Groups[i]
		out.DataList[i] = joinedGroupOf(s, rows[s.Group.A])
	}
	return out, nil
}

// groupRows returns the rows of the groups that the user is in. They may be newer than what the log says.
func (a *API) groupRows(ctx context.Context, app chat.AppID, groups []history.GroupSummary) (map[string]*store.Group, error) {
	var ids []string
	for i := range groups {
		if !groups[i].Left {
			ids = append(ids, groups[i].Group.A)
		}
	}
	rows := make(map[string]*store.Group, len(ids))
	if len(ids) == 0 {
		return rows, nil
	}
	found, err := a.store.Groups(ctx, app, ids)
	for i := range found {
		rows[found[i].ID] = &found[i]
	}
	return rows, err
}

func joinedGroupOf(s *history.GroupSummary, g *store.Group) joinedGroup {
	row := joinedGroup{
		AppID: int32(s.Group.App), GroupID: s.Group.A, Sequence: int64(s.Place), Left: s.Left, Destroyed: s.Destroyed,
	}
	if g == nil {
		return row
	}
	if row.Status = groupStands; row.Destroyed {
		row.Status = groupDestroyed
	}
	row.OwnerID, row.GroupType, row.GroupName, row.Mute = string(g.Owner), int32(g.Type), g.Name, flag(g.Muted)
	row.ApplyJoinType, row.Introduction, row.Notification = int32(g.Joining), g.Introduction, g.Notification
	row.Photo, row.Extra, row.MaxMemberCount = g.Photo, g.Extra, int32(g.MaxMembers) //nolint:gosec // people
	row.CreateTime, row.UpdateTime = g.CreatedAt.UnixMilli(), g.UpdatedAt.UnixMilli()
	return row
}
