package api

import (
	"context"
	"strconv"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

// modifyUser is what changes of a user: what is absent or null stays as it is, an empty string clears.
type modifyUser struct {
	UserID           string  `json:"userId" is:"required,max=50" about:"Whose profile: one's own, unless an administrator asks."`
	NickName         *string `json:"nickName,omitempty" is:"max=100"`
	Location         *string `json:"location,omitempty" is:"max=50"`
	BirthDay         *string `json:"birthDay,omitempty" is:"max=50"`
	Password         *string `json:"password,omitempty" is:"max=255" about:"Kept as an argon2id hash, and never told."`
	Photo            *string `json:"photo,omitempty" is:"max=1000"`
	UserSex          *int32  `json:"userSex,omitempty" is:"max=100"`
	SelfSignature    *string `json:"selfSignature,omitempty" is:"max=255"`
	FriendAllowType  *int32  `json:"friendAllowType,omitempty" is:"enum=1|2"`
	DisableAddFriend *int32  `json:"disableAddFriend,omitempty" is:"enum=0|1" about:"For administrators."`
	ForbiddenFlag    *int32  `json:"forbiddenFlag,omitempty" is:"enum=0|1" about:"For administrators; 1 also ends the user's sessions."`
	SilentFlag       *int32  `json:"silentFlag,omitempty" is:"enum=0|1" about:"For administrators."`
	UserType         *int32  `json:"userType,omitempty" is:"min=1,max=1000" about:"For administrators."`
	Extra            *string `json:"extra,omitempty" is:"max=1000"`
}

func (a *API) modifyUserInfo(ctx context.Context, c *caller, in *modifyUser) (none, error) {
	user := chat.UserID(in.UserID)
	if err := a.mayActFor(c, user); err != nil {
		return none{}, err
	}
	if in.administers() && !a.mayAdminister(c) {
		return none{}, chat.Error{Code: chat.AdminOnly}
	}
	if in.Password != nil {
		if err := a.limits.allowHash(chat.UserKey{App: c.app.ID, User: user}, time.Now()); err != nil {
			return none{}, err
		}
	}
	m, err := in.modification(ctx)
	if err != nil {
		return none{}, err
	}
	if m == (store.Modification{}) {
		return none{}, chat.Error{Code: chat.UserNotUpdated}
	}
	_, err = a.store.ModifyUser(ctx, c.app.ID, user, m, func(p store.Profile) chat.Event {
		e := chat.Event{App: c.app.ID, Aggregate: chat.UserAggregate(user), Hook: c.hook(chat.HookUserModified, in.told())}
		e.Frames = append(e.Frames, c.frameBeside(wire.UserModify, modifiedOf(&p), user))
		if in.ForbiddenFlag != nil && p.Forbidden {
			e.Frames = append(e.Frames, kickOf(user))
		}
		return e
	})
	if err != nil {
		return none{}, err
	}
	a.conn.Nudge()
	return none{}, nil
}

// administers reports whether something changes that is not the user's own business.
func (in *modifyUser) administers() bool {
	return in.DisableAddFriend != nil || in.ForbiddenFlag != nil || in.SilentFlag != nil || in.UserType != nil
}

// mayAdminister reports whether the caller has an administrator's rights: as with endpoints for administrators, where nobody must prove
// anything, anybody who has not proved to be somebody else has them.
func (a *API) mayAdminister(c *caller) bool {
	return c.admin || !c.signed && a.cfg.Auth == AuthOptional
}

// told is what others may know of it: all but the password.
func (in *modifyUser) told() *modifyUser {
	x := *in
	x.Password = nil
	return &x
}

func (in *modifyUser) modification(ctx context.Context) (store.Modification, error) {
	m := store.Modification{
		NickName: in.NickName, Location: in.Location, BirthDay: in.BirthDay, Photo: in.Photo, SelfSignature: in.SelfSignature, Extra: in.Extra,
		Sex: in.UserSex, AllowType: in.FriendAllowType, Type: in.UserType,
		TakesNoFriend: truth(in.DisableAddFriend), Forbidden: truth(in.ForbiddenFlag), Silent: truth(in.SilentFlag),
	}
	if in.Password == nil {
		return m, nil
	}
	hash, err := hashPassword(ctx, *in.Password)
	m.PasswordHash = &hash
	return m, err
}

// truth is a flag of the original's as a truth.
func truth(flag *int32) *bool {
	if flag == nil {
		return nil
	}
	b := *flag == 1
	return &b
}

func modifiedOf(p *store.Profile) wire.UserModified {
	return wire.UserModified{
		UserID: string(p.ID), NickName: p.NickName, Location: p.Location, BirthDay: p.BirthDay, Photo: p.Photo, UserSex: strconv.Itoa(int(p.Sex)),
		SelfSignature: p.SelfSignature, FriendAllowType: p.AllowType, Extra: p.Extra,
	}
}
