package api

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

func (a *API) appEndpoints() []endpoint {
	return of("app",
		define("/v1/app/options/get", "The app's options. Of keys and secrets it tells only how many there are.",
			forAdmins, a.getOptions),
		define("/v1/app/options/set", "Changes options of the app, and answers with all of them. What is left out stays as it is.",
			forOwners, a.setOptions),
		define("/v1/app/keys/set", "Replaces the keys that sign userSigns. While clients change from one key to the other give both, the new one first.",
			forOwners, a.setKeys),
		define("/v1/user/sign/issue", "Issues a userSign, by which a user proves to edges and to this API who he is.",
			forOwners, a.issueSign, chat.UserMissing),
	)
}

type appOptions struct {
	CheckFriend   bool     `json:"checkFriend" about:"A message needs a friendship both ways."`
	CheckBlack    bool     `json:"checkBlack" about:"And nobody may have blocked the other; counts only with checkFriend."`
	LoginPolicy   int64    `json:"loginPolicy" about:"Which devices of a user may be logged in at once: 0 as the deployment has it, 1 one, 2 one and browsers, 3 a mobile, a desktop and browsers, 4 all."`
	HistoryBefore bool     `json:"historyBeforeJoining" about:"New members of a group see what was said before."`
	RouteModel    int64    `json:"imRouteModel" about:"Which edge a login is sent to: 1 a random one, 2 one after the other, 3 by consistent hashing of the user."`
	DeleteMode    int64    `json:"deleteConversationSyncMode" about:"Who hears that a conversation was deleted: 1 all of the user's devices, 2 none: they find out when they sync."`
	URL           string   `json:"callbackUrl" about:"Where the app's webhook is; empty: nowhere."`
	Callbacks     []string `json:"callbacks" about:"The commands that the webhook is called with."`
	FailClosed    bool     `json:"callbackFailClosed" about:"What a before-hook is asked about is refused when it does not answer."`
	Secrets       int64    `json:"callbackSecretCount" about:"How many secrets calls are signed with."`
	Keys          int64    `json:"keyCount" about:"How many keys sign userSigns."`
}

func optionsOf(app *chat.App) appOptions {
	return appOptions{
		CheckFriend: app.CheckFriend, CheckBlack: app.CheckBlack, LoginPolicy: int64(app.LoginPolicy), HistoryBefore: app.HistoryBeforeJoining,
		RouteModel: int64(app.RouteModel), DeleteMode: int64(app.DeleteMode), URL: app.Hooks.URL, FailClosed: app.Hooks.FailClosed,
		Callbacks: append([]string{}, app.Hooks.Commands...), Secrets: int64(len(app.Hooks.Secrets)), Keys: int64(len(app.Keys)),
	}
}

func (a *API) getOptions(_ context.Context, c *caller, _ *none) (appOptions, error) {
	return optionsOf(&c.app), nil
}

type setOptions struct {
	CheckFriend   *bool    `json:"checkFriend" about:"A message needs a friendship both ways."`
	CheckBlack    *bool    `json:"checkBlack" about:"And nobody may have blocked the other; counts only with checkFriend."`
	LoginPolicy   *int32   `json:"loginPolicy" is:"enum=0|1|2|3|4" about:"Which devices of a user may be logged in at once: 0 as the deployment has it, 1 one, 2 one and browsers, 3 a mobile, a desktop and browsers, 4 all."`
	HistoryBefore *bool    `json:"historyBeforeJoining" about:"New members of a group see what was said before."`
	RouteModel    *int32   `json:"imRouteModel" is:"enum=1|2|3" about:"Which edge a login is sent to: 1 a random one, 2 one after the other, 3 by consistent hashing of the user."`
	DeleteMode    *int32   `json:"deleteConversationSyncMode" is:"enum=1|2" about:"Who hears that a conversation was deleted: 1 all of the user's devices, 2 none: they find out when they sync."`
	URL           *string  `json:"callbackUrl" is:"max=2000" about:"Where the app's webhook is, by http or https; empty: nowhere."`
	Secrets       []string `json:"callbackSecrets" is:"max=2" about:"What calls of the webhook are signed with: one secret, or two while they are changed."`
	Callbacks     []string `json:"callbacks" is:"max=100" about:"The commands that the webhook is called with, such as friend.add.after."`
	FailClosed    *bool    `json:"callbackFailClosed" about:"What a before-hook is asked about is refused when it does not answer."`
}

func (a *API) setOptions(ctx context.Context, c *caller, in *setOptions) (appOptions, error) {
	if in.URL != nil && *in.URL != "" && !webAddress(*in.URL) {
		return appOptions{}, chat.Errorf(chat.BadParameter, "callbackUrl must be an address of http or https")
	}
	if err := checkSecrets("callbackSecrets", in.Secrets); err != nil {
		return appOptions{}, err
	}
	app, err := a.changeApp(ctx, c, func(app *chat.App) {
		set(&app.CheckFriend, in.CheckFriend)
		set(&app.CheckBlack, in.CheckBlack)
		setNumber(&app.LoginPolicy, in.LoginPolicy)
		set(&app.HistoryBeforeJoining, in.HistoryBefore)
		setNumber(&app.RouteModel, in.RouteModel)
		setNumber(&app.DeleteMode, in.DeleteMode)
		set(&app.Hooks.URL, in.URL)
		set(&app.Hooks.FailClosed, in.FailClosed)
		if in.Secrets != nil {
			app.Hooks.Secrets = in.Secrets
		}
		if in.Callbacks != nil {
			app.Hooks.Commands = in.Callbacks
		}
	})
	if err != nil {
		return appOptions{}, err
	}
	return optionsOf(&app), nil
}

// changeApp changes the caller's app. This process believes it at once, the others when they hear of it.
func (a *API) changeApp(ctx context.Context, c *caller, f func(*chat.App)) (chat.App, error) {
	app, err := a.store.ChangeApp(ctx, c.app.ID, func(app *chat.App) error {
		f(app)
		return nil
	})
	if err != nil {
		return chat.App{}, err
	}
	a.directory.Heed(&chat.Event{App: app.ID, Stale: chat.Stale{App: true}})
	a.conn.Nudge()
	return app, nil
}

func set[T any](option, to *T) {
	if to != nil {
		*option = *to
	}
}

func setNumber[N ~int](option *N, to *int32) {
	if to != nil {
		*option = N(*to)
	}
}

func webAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Fragment == ""
}

// maxSecret bounds a key or a secret, in bytes.
const maxSecret = 500

func checkSecrets(name string, secrets []string) error {
	for _, s := range secrets {
		if strings.TrimSpace(s) == "" || len(s) > maxSecret {
			return chat.Errorf(chat.BadParameter, "%s must not be blank, nor longer than %d bytes", name, maxSecret)
		}
	}
	return nil
}

type setKeys struct {
	Keys []string `json:"keys" is:"required,max=2" about:"One key, or two: userSigns are issued with the first, and those of either are taken."`
}

func (a *API) setKeys(ctx context.Context, c *caller, in *setKeys) (none, error) {
	if err := checkSecrets("keys", in.Keys); err != nil {
		return none{}, err
	}
	_, err := a.changeApp(ctx, c, func(app *chat.App) { app.Keys = in.Keys })
	return none{}, err
}

type issueSign struct {
	UserID string `json:"userId" is:"required,max=50" about:"Whom it will prove to be who he is."`
	Expire int64  `json:"expire" is:"min=0,max=2592000" about:"For how many seconds it is valid; 0 or none: a day."`
}

type issuedSign struct {
	Sign   string `json:"userSign"`
	Expire int64  `json:"expireTime" about:"Until when it is valid, in Unix milliseconds."`
}

func (a *API) issueSign(ctx context.Context, c *caller, in *issueSign) (issuedSign, error) {
	user := chat.UserID(in.UserID)
	if _, err := a.directory.User(ctx, chat.UserKey{App: c.app.ID, User: user}); err != nil {
		return issuedSign{}, err
	}
	valid, now := 24*time.Hour, a.cfg.now()
	if in.Expire > 0 {
		valid = time.Duration(in.Expire) * time.Second
	}
	return issuedSign{
		Sign:   chat.Sign(c.app.ID, c.app.Keys[0], user, now, valid),
		Expire: now.Truncate(time.Second).Add(valid).UnixMilli(),
	}, nil
}
