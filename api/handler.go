package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

// envelope is the form of every answer, the original's.
type envelope struct {
	Code      chat.Code `json:"code"`
	Msg       string    `json:"msg"`
	Data      any       `json:"data"`
	OK        bool      `json:"ok"`
	RequestID string    `json:"requestId,omitzero"` // of a request that failed
}

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

func (a *API) newHandler() http.Handler {
	mux := http.NewServeMux()
	for _, e := range a.endpoints() {
		mux.Handle(e.path, a.serve(&e))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.answer(w, r, "", time.Now(), nil, chat.Errorf(chat.NoEndpoint, "there is no endpoint %s; /docs lists those that there are", r.URL.Path))
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

// serve carries out one endpoint.
func (a *API) serve(e *endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), a.cfg.RequestTimeout)
		defer cancel()
		data, err := a.carryOut(ctx, e, w, r)
		a.answer(w, r, e.path, began, data, err)
	})
}

// carryOut is what all endpoints have in common. A panic is an internal error, of this request alone.
func (a *API) carryOut(ctx context.Context, e *endpoint, w http.ResponseWriter, r *http.Request) (data any, err error) {
	defer func() {
		if x := recover(); x != nil {
			a.cfg.Log.ErrorContext(ctx, "a request panicked", "path", e.path, "panic", fmt.Sprint(x), "stack", string(debug.Stack()))
			data, err = nil, errPanic
		}
	}()
	if err := e.allows(r.Method); err != nil {
		return nil, err
	}
	body, err := a.readBody(w, r)
	if err != nil {
		return nil, err
	}
	c, err := a.identify(ctx, e, r, body)
	if err != nil {
		return nil, err
	}
	if err := a.limits.allow(c, time.Now()); err != nil {
		return nil, err
	}
	return e.serve(ctx, c, body)
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

// answer writes the envelope. What the client may not see of an error is logged.
func (a *API) answer(w http.ResponseWriter, r *http.Request, path string, began time.Time, data any, err error) {
	ctx, id := r.Context(), requestID(r.Context())
	told := asError(err)
	if told.Code == chat.Internal || told.Code == chat.Unavailable {
		a.cfg.Log.WarnContext(ctx, "request failed", "path", r.URL.Path, "request", id, "cause", err)
	}
	env := envelope{Code: told.Code, Msg: told.Error(), Data: data, OK: told.Code == chat.OK}
	if !env.OK {
		env.RequestID = id
		if _, none := data.(none); none {
			env.Data = nil
		}
	}
	if _, empty := data.(none); empty {
		env.Data = nil
	}
	b, encodeErr := json.Marshal(&env, json.Deterministic(true))
	if encodeErr != nil {
		a.cfg.Log.ErrorContext(ctx, "an answer cannot be encoded", "path", r.URL.Path, "cause", encodeErr)
		b = []byte(`{"code":90000,"msg":"internal error","data":null,"ok":false}`)
		env.Code = chat.Internal
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	if env.Code == chat.TooManyRequests {
		h.Set("Retry-After", "1")
	}
	status := http.StatusOK
	if path == "" || strings.EqualFold(r.Header.Get(headerErrors), "http") {
		status = statusOf(env.Code)
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // who has gone misses it
	a.answered(ctx, r, path, env.Code, status, len(b), time.Since(began))
}

func (a *API) answered(ctx context.Context, r *http.Request, path string, code chat.Code, status, size int, took time.Duration) {
	a.metrics.answered(path, code, took)
	if a.cfg.Answered != nil {
		a.cfg.Answered(path, code, took)
	}
	if a.cfg.AccessLog {
		a.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.String("app", r.URL.Query().Get("appId")), slog.String("user", r.URL.Query().Get("identifier")),
			slog.Int("code", int(code)), slog.Int("status", status), slog.Int("bytes", size),
			slog.Duration("took", took), slog.String("request", requestID(ctx)), slog.String("from", r.RemoteAddr))
	}
}

// asError is what a client may see of an error.
func asError(err error) chat.Error {
	if err == nil {
		return chat.Error{Code: chat.OK}
	}
	if told, ok := errors.AsType[chat.Error](err); ok {
		return told
	}
	if store.Unavailable(err) {
		return chat.Error{Code: chat.Unavailable}
	}
	return chat.Error{Code: chat.Internal}
}

// statusOf returns the HTTP status of a code, for clients that ask for it.
func statusOf(code chat.Code) int {
	switch code { //nolint:exhaustive // all others are 400
	case chat.OK:
		return http.StatusOK
	case chat.SignMissing, chat.OperatorMissing, chat.SignWrong, chat.SignExpired:
		return http.StatusUnauthorized
	case chat.SignOtherUser, chat.AdminOnly, chat.ManagersOnly, chat.OwnerOnly, chat.SelfOnly, chat.NotYourRequest, chat.NotMember,
		chat.SenderForbidden, chat.SenderMuted, chat.NotYours, chat.PrivateNotDestroy:
		return http.StatusForbidden
	case chat.UserMissing, chat.GroupMissing, chat.RequestMissing, chat.NoFriendGroup, chat.RelationMissing, chat.AppMissing,
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
