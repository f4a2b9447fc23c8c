package api

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

func (a *API) userEndpoints() []endpoint {
	return of("user",
		define("/v1/user/importUser", "Adds up to 100 users; an id that was given before, or cannot be one, comes back under errorId.",
			forAdmins, a.importUsers, chat.TooManyUsers),
		define("/v1/user/deleteUser", "Deletes users, and ends their sessions; their ids are not given again.", forAdmins, a.deleteUsers),
		define("/v1/user/getUserSequence", "The numbers of what has changed last for a user: a device syncs what it is behind with.",
			forUsers, a.getUserSequence, chat.UserMissing),
		define("/v1/user/data/getUserInfo", "The profiles of users; those that do not exist come back under failUser.",
			forUsers, a.getUserInfo).by(onlyPost),
		define("/v1/user/data/getSingleUserInfo", "The profile of a user.", forUsers, a.getSingleUserInfo, chat.UserMissing).by(onlyPost),
		define("/v1/user/data/modifyUserInfo", "Changes what is given of a user's own profile; an empty string clears, what is absent stays.",
			forUsers, a.modifyUserInfo, chat.UserMissing, chat.UserNotUpdated, chat.AdminOnly).by(onlyPost),
	)
}

// newUser is a user who is imported. The appId and delFlag of the original's user objects are passed over.
type newUser struct {
	UserID           string `json:"userId" about:"At most 50 characters."`
	NickName         string `json:"nickName" is:"max=100"`
	Location         string `json:"location" is:"max=50"`
	BirthDay         string `json:"birthDay" is:"max=50"`
	Password         string `json:"password" is:"max=255" about:"Kept as an argon2id hash, and never told."`
	Photo            string `json:"photo" is:"max=1000" about:"A URL."`
	UserSex          int32  `json:"userSex" is:"max=100"`
	SelfSignature    string `json:"selfSignature" is:"max=255"`
	FriendAllowType  int32  `json:"friendAllowType" is:"enum=1|2" about:"1 (the default): anyone becomes a friend; 2: asks first."`
	DisableAddFriend int32  `json:"disableAddFriend" is:"enum=0|1" about:"1: nobody may ask for friendship."`
	ForbiddenFlag    int32  `json:"forbiddenFlag" is:"enum=0|1" about:"1: may do nothing."`
	SilentFlag       int32  `json:"silentFlag" is:"enum=0|1" about:"1: may not speak."`
	UserType         int32  `json:"userType" is:"max=1000" about:"1 (the default): a user; 100: an administrator of the app."`
	Extra            string `json:"extra" is:"max=1000"`
}

type importUsers struct {
	UserData []newUser `json:"userData" is:"required,max=100000" about:"At most 100."`
}

// outcome is what became of each of several ids.
type outcome struct {
	SuccessID []string `json:"successId"`
	ErrorID   []string `json:"errorId"`
}

// outcomeOf sorts ids, each of which counts once, by whether they are among those that went well.
func outcomeOf(ids []string, well []chat.UserID) outcome {
	good := make(map[string]bool, len(well))
	for _, id := range well {
		good[string(id)] = true
	}
	o, seen := outcome{SuccessID: []string{}, ErrorID: []string{}}, make(map[string]bool, len(ids))
	for _, id := range ids {
		switch {
		case seen[id]:
		case good[id]:
			o.SuccessID = append(o.SuccessID, id)
		default:
			o.ErrorID = append(o.ErrorID, id)
		}
		seen[id] = true
	}
	return o
}

const importedAtOnce = 100

func (a *API) importUsers(ctx context.Context, c *caller, in *importUsers) (outcome, error) {
	if n := len(in.UserData); n > importedAtOnce {
		return outcome{}, chat.Errorf(chat.TooManyUsers, "userData has %d users; at most %d may be", n, importedAtOnce)
	}
	ids, seen := make([]string, len(in.UserData)), make(map[string]bool)
	var users []store.NewUser
	for i := range in.UserData {
		x := &in.UserData[i]
		if ids[i] = x.UserID; seen[x.UserID] || !a.isUserID(x.UserID) {
			continue
		}
		seen[x.UserID] = true
		hash, err := hashPassword(ctx, x.Password)
		if err != nil {
			return outcome{}, err
		}
		users = append(users, store.NewUser{Profile: x.profile(), PasswordHash: hash})
	}
	added, err := a.store.ImportUsers(ctx, c.app.ID, users)
	if err != nil {
		return outcome{}, err
	}
	a.conn.Nudge()
	return outcomeOf(ids, added), nil
}

// isUserID reports whether something can be the id of a new user.
func (a *API) isUserID(id string) bool {
	return strings.TrimSpace(id) != "" && utf8.RuneCountInString(id) <= a.cfg.MaxUserID
}

func (x *newUser) profile() store.Profile {
	return store.Profile{
		ID: chat.UserID(x.UserID), NickName: x.NickName, Location: x.Location, BirthDay: x.BirthDay, Photo: x.Photo,
		SelfSignature: x.SelfSignature, Extra: x.Extra, Sex: x.UserSex, AllowType: orOne(x.FriendAllowType), Type: orOne(x.UserType),
		TakesNoFriend: x.DisableAddFriend == 1, Forbidden: x.ForbiddenFlag == 1, Silent: x.SilentFlag == 1,
	}
}

// orOne returns the number, or the original's default of it.
func orOne(n int32) int32 {
	if n == 0 {
		return 1
	}
	return n
}

type deleteUsers struct {
	UserID []string `json:"userId" is:"required,max=1000" about:"Whom to delete."`
}

func (a *API) deleteUsers(ctx context.Context, c *caller, in *deleteUsers) (outcome, error) {
	deleted, err := a.store.DeleteUsers(ctx, c.app.ID, userIDs(in.UserID), func(u chat.UserID) []chat.EventFrame {
		return []chat.EventFrame{kickOf(u)}
	})
	if err != nil {
		return outcome{}, err
	}
	a.conn.Nudge()
	return outcomeOf(in.UserID, deleted), nil
}

// kickOf ends all sessions of a user.
func kickOf(u chat.UserID) chat.EventFrame {
	return chat.EventFrame{Command: int32(wire.Kick), Users: []chat.UserID{u}}
}

func userIDs(ids []string) []chat.UserID {
	users := make([]chat.UserID, len(ids))
	for i, id := range ids {
		users[i] = chat.UserID(id)
	}
	return users
}

type userID struct {
	UserID string `json:"userId" is:"required,max=50" about:"Whom it is about."`
}

func (a *API) getUserSequence(ctx context.Context, c *caller, in *userID) (map[string]int64, error) {
	key := chat.UserKey{App: c.app.ID, User: chat.UserID(in.UserID)}
	if err := a.mayActFor(c, key.User); err != nil {
		return nil, err
	}
	if _, err := a.directory.User(ctx, key); err != nil {
		return nil, err
	}
	return a.sequencesOf(ctx, key)
}

// sequencesOf returns a user's sequences under the names by which getUserSequence tells them: each noun that is synced adds its own here.
func (a *API) sequencesOf(ctx context.Context, key chat.UserKey) (map[string]int64, error) {
	s, err := a.store.Sequences(ctx, key)
	if err != nil {
		return nil, err
	}
	return a.withPlaces(ctx, key, map[string]int64{
		"friendShipSeq": s.Friendship, "friendShipRequestSeq": s.FriendRequest, "friendShipGroupSeq": s.FriendGroup,
	})
}

type userIDsOf struct {
	UserIDs []string `json:"userIds" is:"required,max=1000" about:"Whom it is about."`
}

// userInfo is a user as the API tells of him; never with his password.
type userInfo struct {
	UserID           string     `json:"userId"`
	NickName         string     `json:"nickName"`
	Location         string     `json:"location"`
	BirthDay         string     `json:"birthDay"`
	Photo            string     `json:"photo"`
	UserSex          string     `json:"userSex" about:"A number in a string, as the original has it."`
	SelfSignature    string     `json:"selfSignature"`
	FriendAllowType  int32      `json:"friendAllowType"`
	DisableAddFriend int32      `json:"disableAddFriend"`
	ForbiddenFlag    int32      `json:"forbiddenFlag"`
	SilentFlag       int32      `json:"silentFlag"`
	UserType         int32      `json:"userType"`
	AppID            chat.AppID `json:"appId"`
	DelFlag          int32      `json:"delFlag" about:"Always 0: who is deleted is not told of."`
	Extra            string     `json:"extra"`
}

func infoOf(app chat.AppID, p *store.Profile) userInfo {
	return userInfo{
		UserID: string(p.ID), NickName: p.NickName, Location: p.Location, BirthDay: p.BirthDay, Photo: p.Photo, UserSex: strconv.Itoa(int(p.Sex)),
		SelfSignature: p.SelfSignature, FriendAllowType: p.AllowType, DisableAddFriend: flag(p.TakesNoFriend), ForbiddenFlag: flag(p.Forbidden),
		SilentFlag: flag(p.Silent), UserType: p.Type, AppID: app, Extra: p.Extra,
	}
}

// flag is a truth as the original writes it.
func flag(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

type userInfos struct {
	UserDataItem []userInfo `json:"userDataItem"`
	FailUser     []string   `json:"failUser"`
}

func (a *API) getUserInfo(ctx context.Context, c *caller, in *userIDsOf) (userInfos, error) {
	profiles, err := a.store.Profiles(ctx, c.app.ID, userIDs(in.UserIDs))
	if err != nil {
		return userInfos{}, err
	}
	found, infos := make([]chat.UserID, len(profiles)), make([]userInfo, len(profiles))
	for i := range profiles {
		found[i], infos[i] = profiles[i].ID, infoOf(c.app.ID, &profiles[i])
	}
	return userInfos{UserDataItem: infos, FailUser: outcomeOf(in.UserIDs, found).ErrorID}, nil
}

func (a *API) getSingleUserInfo(ctx context.Context, c *caller, in *userID) (userInfo, error) {
	profiles, err := a.store.Profiles(ctx, c.app.ID, []chat.UserID{chat.UserID(in.UserID)})
	switch {
	case err != nil:
		return userInfo{}, err
	case len(profiles) == 0:
		return userInfo{}, chat.Error{Code: chat.UserMissing}
	}
	return infoOf(c.app.ID, &profiles[0]), nil
}
