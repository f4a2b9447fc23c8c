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

// joinedGroup is a group of a user's; if he has left it, the news of that and no more. Its sequence is the place of its newest change, or of his
// leaving: it grows with every one, over all groups.
type joinedGroup struct {
	groupRow
	Left      bool `json:"left"`
	Destroyed bool `json:"destroyed"`
}

func (a *API) syncJoinedGroups(ctx context.Context, c *caller, in *syncSince) (*syncPage[joinedGroup], error) {
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
	row := joinedGroup{groupRow: groupRow{AppID: int32(s.Group.App), GroupID: s.Group.A}, Left: s.Left, Destroyed: s.Destroyed}
	if g != nil {
		row.groupRow = groupRowOf(g)
		row.Destroyed = row.Destroyed || g.Destroyed // the row may be newer than what the log says
	}
	row.Sequence = int64(s.Place)
	return row
}
