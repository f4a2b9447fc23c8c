package api

import (
	"context"
	"reflect"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// access says who may call an endpoint.
type access int

const (
	forAnybody access = iota // without a userSign
	forUsers                 // whoever has proved who he is, as far as he must
	forAdmins                // an administrator of the app; where nobody must prove anything, anybody
	forOwners                // an administrator who has proved it, always
)

// verbs says by which HTTP methods an endpoint is called: as the original had it.
type verbs int

const (
	anyVerb verbs = iota
	onlyPost
	onlyGet // what the original does not have
)

// endpoint is a row of the table.
type endpoint struct {
	path   string
	noun   string // under which the documentation lists it
	about  string // one sentence
	verbs  verbs
	access access
	codes  []chat.Code // beside those that every endpoint may answer with
	in     *shape
	out    reflect.Type
	serve  func(ctx context.Context, c *caller, body []byte) (any, error)
}

// commonCodes are those that every endpoint may answer with.
var commonCodes = []chat.Code{
	chat.OK, chat.BadParameter, chat.TooLarge, chat.TooManyRequests, chat.Unavailable, chat.Internal, chat.AppMissing,
}

// signCodes are those that every endpoint may answer with for which one must prove who one is.
var signCodes = []chat.Code{
	chat.OperatorMissing, chat.SignMissing, chat.SignWrong, chat.SignExpired, chat.SignOtherUser, chat.SenderForbidden, chat.UserMissing,
}

// define makes a row of the table.
func define[In, Out any](
	path, about string, access access, serve func(ctx context.Context, c *caller, in *In) (Out, error), codes ...chat.Code,
) endpoint {
	in := shapeOf(reflect.TypeFor[In]())
	return endpoint{
		path: path, about: about, access: access, codes: codes, in: in, out: reflect.TypeFor[Out](),
		serve: func(ctx context.Context, c *caller, body []byte) (any, error) {
			x := new(In)
			if err := in.read(body, x); err != nil {
				return nil, err
			}
			out, err := serve(ctx, c, x)
			if err != nil && reflect.ValueOf(&out).Elem().IsZero() {
				return nil, err // no answer, rather than an empty one
			}
			return out, err
		},
	}
}

// by returns the row with other verbs.
func (e endpoint) by(v verbs) endpoint {
	e.verbs = v
	return e
}

// of gives rows their noun.
func of(noun string, rows ...endpoint) []endpoint {
	for i := range rows {
		rows[i].noun = noun
	}
	return rows
}

// allCodes returns every code that the endpoint may answer with, in the order of their numbers.
func (e *endpoint) allCodes() []chat.Code {
	codes := slices.Concat(commonCodes, e.codes)
	if e.access != forAnybody {
		codes = append(codes, signCodes...)
	}
	if e.access == forAdmins || e.access == forOwners {
		codes = append(codes, chat.AdminOnly)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// none is the answer or the body of an endpoint that has none.
type none struct{}

// endpoints is the table.
func (a *API) endpoints() []endpoint {
	return slices.Concat(
		a.appEndpoints(),
		a.userEndpoints(),
		a.loginEndpoints(),
		a.sessionEndpoints(),
		a.friendshipEndpoints(),
		a.friendGroupEndpoints(),
		a.friendRequestEndpoints(),
		a.groupEndpoints(),
		a.memberEndpoints(),
		a.joinRequestEndpoints(),
		a.conversationEndpoints(),
		a.messageEndpoints(),
		a.storedMessageEndpoints(),
		a.joinedGroupEndpoints(),
	)
}
