package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// The headers that mean something here.
const (
	headerRequestID = "X-Request-Id"
	headerErrors    = "Whaleshark-Errors" // "http": errors come with a status of their own, not with 200
)

type requestKey struct{}

// requestID returns the number of the request that ctx belongs to.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

func (a *API) newHandler(endpoints []endpoint) http.Handler {
	mux := http.NewServeMux()
	for _, e := range endpoints {
		mux.Handle(e.path, a.serve(&e))
	}
	mux.Handle("GET /openapi.json", serveDescription(describe(endpoints)))
	serveDocs(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		x := newExchange(w, r, "")
		path := r.URL.Path
		a.answer(r.Context(), x, nil, chat.Errorf(chat.NoEndpoint, "there is no endpoint %.*q; /docs lists those that there are", longestLogged, path))
	})
	return a.cors(a.identifyRequests(mux))
}

// identifyRequests gives each request a number, its client's own if that is one.
func (a *API) identifyRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(headerRequestID)
		if !plainID(id) {
			id = rand.Text()[:16]
		}
		w.Header().Set(headerRequestID, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, id)))
	})
}

func plainID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(c rune) bool { return c < '!' || c > '~' })
}

// cors lets pages of other origins ask, as far as they may.
func (a *API) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		allowed := slices.Contains(a.cfg.Origins, "*") || slices.Contains(a.cfg.Origins, origin)
		if origin == "" || !allowed {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Expose-Headers", headerRequestID+", Retry-After")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
			h.Set("Access-Control-Allow-Headers", "Content-Type, "+headerErrors+", "+headerRequestID)
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func newExchange(w http.ResponseWriter, r *http.Request, path string) *exchange {
	return &exchange{w: w, r: r, path: path, began: time.Now(), caller: caller{id: requestID(r.Context())}}
}

// serve carries out one endpoint.
func (a *API) serve(e *endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := newExchange(w, r, e.path)
		ctx, cancel := context.WithTimeout(r.Context(), a.cfg.RequestTimeout)
		defer cancel()
		data, err := a.carryOut(ctx, e, x)
		a.answer(r.Context(), x, data, err)
	})
}

// carryOut is what all endpoints have in common. A panic is an internal error, of this request alone.
func (a *API) carryOut(ctx context.Context, e *endpoint, x *exchange) (data any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			a.cfg.Log.ErrorContext(ctx, "a request panicked", "path", e.path, "request", x.caller.id,
				"panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
			data, err = nil, errPanic
		}
	}()
	if err := e.allows(x.r.Method); err != nil {
		return nil, err
	}
	body, err := a.readBody(x.w, x.r)
	if err != nil {
		return nil, err
	}
	if err := a.identify(ctx, e, x.r, body, &x.caller); err != nil {
		return nil, err
	}
	if err := a.limits.allow(&x.caller, time.Now()); err != nil {
		return nil, err
	}
	return e.serve(ctx, &x.caller, body)
}

var errPanic = errors.New("the request panicked")

func (e *endpoint) allows(method string) error {
	switch {
	case e.verbs == onlyPost && method != http.MethodPost:
		return chat.Errorf(chat.BadParameter, "%s is called by POST, not by %s", e.path, method)
	case e.verbs == onlyGet && method != http.MethodGet:
		return chat.Errorf(chat.BadParameter, "%s is called by GET, not by %s", e.path, method)
	}
	return nil
}

func (a *API) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, a.cfg.MaxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, chat.Errorf(chat.TooLarge, "the body has more than %d bytes", a.cfg.MaxBody)
	}
	if err != nil {
		return nil, chat.Errorf(chat.BadParameter, "the body did not arrive whole")
	}
	return body, nil
}

// statusOf returns the HTTP status of a code, for clients that ask for it.
func statusOf(code chat.Code) int {
	switch code { //nolint:exhaustive // all others are 400
	case chat.OK:
		return http.StatusOK
	case chat.SignMissing, chat.AppMissing, chat.OperatorMissing, chat.SignWrong, chat.SignExpired:
		return http.StatusUnauthorized
	case chat.SignOtherUser, chat.AdminOnly, chat.ManagersOnly, chat.OwnerOnly, chat.SelfOnly, chat.NotYourRequest, chat.NotMember,
		chat.SenderForbidden, chat.SenderMuted, chat.NotYours, chat.PrivateNotDestroy:
		return http.StatusForbidden
	case chat.UserMissing, chat.GroupMissing, chat.RequestMissing, chat.NoFriendGroup, chat.RelationMissing,
		chat.MessageMissing, chat.NoEndpoint:
		return http.StatusNotFound
	case chat.AlreadyFriends, chat.FriendGroupThere, chat.GroupExists, chat.AlreadyMember, chat.MemberLimit, chat.GroupIsGone,
		chat.RecalledAlready, chat.MessageIDReused:
		return http.StatusConflict
	case chat.TooLarge:
		return http.StatusRequestEntityTooLarge
	case chat.TooManyRequests:
		return http.StatusTooManyRequests
	case chat.Internal:
		return http.StatusInternalServerError
	case chat.Unavailable, chat.Busy, chat.NoEdge:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}
