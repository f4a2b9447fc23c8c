package store

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Describe lets whoever asks change what describes a group, with nothing but the rule of who may.
func (s *Store) Describe(ctx context.Context, group chat.Conversation, by chat.UserID, c chat.Change) error {
	return s.decide(ctx, "describe", group, by, c.Users, func(_ *db.Queries, d *decision) error {
		if err := d.allow(chat.Manager); err != nil {
			return err
		}
		d.add(c)
		return nil
	})
}

// The hot queries.
const (
	AppsByID           = db.AppsByID
	UsersByKey         = db.UsersByKey
	RelationsByKey     = db.RelationsByKey
	HeadsByToken       = db.HeadsByToken
	MessagesByIdentity = db.MessagesByIdentity
	MoveMark           = db.MoveMark
	Messages           = db.Messages
	KnownIDs           = db.KnownIDs
	GroupsByToken      = db.GroupsByToken
	ReadsByKey         = db.ReadsByKey
	TargetsByKey       = db.TargetsByKey
	SendersByRange     = db.SendersByRange
	RecallMessages     = db.RecallMessages
	ChangeStays        = db.ChangeStays
	TouchMembers       = db.TouchMembers
	TouchReaders       = db.TouchReaders
	DemoteOwners       = db.DemoteOwners
	ForgetOutgoing     = db.ForgetOutgoing
	Outgoing           = db.Outgoing
	MembersByID        = db.MembersByID

	TakeWebhookCalls     = db.TakeWebhookCalls
	PutOffWebhookCalls   = db.PutOffWebhookCalls
	DropWebhookCalls     = db.DropWebhookCalls
	WebhookCallsOfEvents = db.WebhookCallsOfEvents
	WebhookCalls         = db.WebhookCalls
	DropWebhookOnline    = db.DropWebhookOnline

	GroupByID         = db.GroupByID
	GroupsByID        = db.GroupsByID
	FirstMembers      = db.FirstMembers
	MembersAfter      = db.MembersAfter
	Staff             = db.Staff
	CountMembers      = db.CountMembers
	JoinedGroups      = db.JoinedGroups
	CountJoinedGroups = db.CountJoinedGroups
	JoinRequests      = db.JoinRequests
)
