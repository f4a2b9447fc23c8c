package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/whaleshark-im/whaleshark/chat"
)

// caller is who asks, as far as a request tells of him.
type caller struct {
	id     string // of the request
	app    chat.App
	user   chat.UserID // who acts: the operater
	admin  bool        // of the app
	signed bool        // he has proved to be who he is
	device chat.Device // the one that asks, as far as the request tells; its own frames are not sent to it
	told   bool        // the request tells a device
}

// key names who acts.
func (c *caller) key() chat.UserKey { return chat.UserKey{App: c.app.ID, User: c.user} }

// mayActFor reports why the caller may not do something in the name of a user.
func (a *API) mayActFor(c *caller, u chat.UserID) error {
	if u == c.user || c.admin || !c.signed && a.cfg.Auth == AuthOptional {
		return nil
	}
	return chat.Errorf(chat.SignOtherUser, "%s may not act for %s", c.user, u)
}

// except returns the device that asks, whose user knows already what it has asked for; nil if it was not told. Frames go to all others.
func (c *caller) except() *chat.Device {
	if !c.told {
		return nil
	}
	d := c.device
	return &d
}

// claims are what every request says of its sender: in the query, as the original's first clients do, or else in the body.
type claims struct {
	App      *int32 `json:"appId" about:"The app; the query's appId comes before it."`
	Operater string `json:"operater" is:"max=50" about:"Who asks; the query's identifier comes before it, unless that is an administrator, who may act for others."`
	Client   *int32 `json:"clientType" is:"enum=0|1|2|3|4|5" about:"The kind of the device that asks; what it has asked for is not sent to itself."`
	IMEI     string `json:"imei" is:"max=256" about:"The device that asks."`
}

var claimsShape = shapeOf(reflect.TypeFor[claims]())

// identify finds out who asks, and whether he may; c holds as much of it as was found out. Its checks come in the original's order.
func (a *API) identify(ctx context.Context, e *endpoint, r *http.Request, body []byte, c *caller) error {
	var said claims
	if err := claimsShape.read(body, &said); err != nil {
		return err
	}
	query := r.URL.Query()
	app, err := appOf(query.Get("appId"), said.App)
	if err != nil {
		return err
	}
	if c.app, err = a.directory.App(ctx, app); err != nil {
		return err
	}
	if e.access == forAnybody {
		c.user = chat.UserID(said.Operater)
		return nil
	}
	signer := chat.UserID(query.Get("identifier"))
	if signer == "" {
		signer = chat.UserID(said.Operater)
	}
	if signer == "" {
		return chat.Error{Code: chat.OperatorMissing}
	}
	if !wellFormed(signer) {
		return chat.Errorf(chat.BadParameter, "identifier has at most %d characters, none of them U+0000", chat.MaxUserID)
	}
	c.user = signer
	if err := a.verify(c, signer, query.Get("userSign")); err != nil {
		return err
	}
	return a.assume(ctx, e, c, signer, &said)
}

func wellFormed(u chat.UserID) bool {
	s := string(u)
	return utf8.RuneCountInString(s) <= chat.MaxUserID && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

func appOf(query string, body *int32) (chat.AppID, error) {
	switch {
	case query != "":
		n, err := strconv.ParseInt(query, 10, 32)
		if err != nil {
			return 0, chat.Errorf(chat.BadParameter, "appId must be a number")
		}
		return chat.AppID(n), nil
	case body != nil:
		return chat.AppID(*body), nil
	}
	return 0, chat.Errorf(chat.AppMissing, "appId is missing")
}

// verify checks the userSign, if there is one or must be.
func (a *API) verify(c *caller, signer chat.UserID, sign string) error {
	if sign == "" && a.cfg.Auth == AuthOptional {
		return nil
	}
	if err := chat.VerifySign(sign, c.app.ID, signer, c.app.Keys, a.cfg.now()); err != nil {
		return err
	}
	c.signed = true
	return nil
}

// assume settles whose rights the caller has, and in whose name he acts.
func (a *API) assume(ctx context.Context, e *endpoint, c *caller, signer chat.UserID, said *claims) error {
	u, err := a.directory.User(ctx, chat.UserKey{App: c.app.ID, User: signer})
	if _, missing := errors.AsType[chat.Error](err); err != nil && (!missing || a.cfg.Auth == AuthRequired) {
		return err // a user who was deleted asks for nothing any more
	}
	c.user = signer
	c.admin = err == nil && u.Admin && (c.signed || a.cfg.Auth == AuthOptional)
	if c.admin && said.Operater != "" {
		c.user = chat.UserID(said.Operater)
	}
	if c.user == signer && err == nil && u.Forbidden && !c.admin {
		return chat.Error{Code: chat.SenderForbidden}
	}
	c.device = chat.Device{App: c.app.ID, User: c.user, Client: chat.WebAPI, IMEI: said.IMEI}
	if said.Client != nil {
		c.device.Client = chat.ClientType(*said.Client)
	}
	c.told = said.Client != nil && said.IMEI != ""
	switch {
	case e.access == forOwners && (!c.admin || !c.signed):
		return chat.Errorf(chat.AdminOnly, "only an administrator of the app may do this, with a userSign")
	case e.access == forAdmins && !c.admin && (c.signed || a.cfg.Auth == AuthRequired):
		return chat.Error{Code: chat.AdminOnly}
	}
	return nil
}

func (c *Config) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}
