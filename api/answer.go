package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
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

// exchange is a request, and what is known of it by the time it is answered.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	path   string // the endpoint's; empty: there is none
	began  time.Time
	caller caller // as far as it was found out who asks
}

// answer writes the envelope. What the client may not see of an error is logged.
func (a *API) answer(ctx context.Context, x *exchange, data any, err error) {
	told := asError(err)
	if told.Code == chat.Internal || told.Code == chat.Unavailable {
		a.cfg.Log.WarnContext(ctx, "request failed", "path", x.path, "request", x.caller.id, "cause", err)
	}
	env := envelope{Code: told.Code, Msg: told.Error(), OK: told.Code == chat.OK}
	if _, empty := data.(none); !empty {
		env.Data = data
	}
	if !env.OK {
		env.RequestID = x.caller.id
	}
	b, encodeErr := json.Marshal(&env, json.Deterministic(true))
	if encodeErr != nil {
		a.cfg.Log.ErrorContext(ctx, "an answer cannot be encoded", "path", x.path, "request", x.caller.id, "cause", encodeErr)
		env = envelope{Code: chat.Internal, Msg: chat.Internal.Info().Meaning, RequestID: x.caller.id}
		b, _ = json.Marshal(&env) // strings and numbers
	}
	h := x.w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Cache-Control", "no-store")
	if env.Code == chat.TooManyRequests {
		h.Set("Retry-After", "1")
	}
	status := http.StatusOK
	if x.path == "" || strings.EqualFold(x.r.Header.Get(headerErrors), "http") {
		status = statusOf(env.Code)
	}
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(b) // who has gone misses it
	}
	a.answered(ctx, x, env.Code, status, len(b))
}

// longestLogged bounds what a client can make the access log hold, in bytes.
const longestLogged = 200

// answered counts and logs an answer. The user is the one that was asked for: signed tells whether he has proved it.
func (a *API) answered(ctx context.Context, x *exchange, code chat.Code, status, size int) {
	took := time.Since(x.began)
	a.metrics.answered(x.path, code, took)
	if a.cfg.Answered != nil {
		a.cfg.Answered(x.path, code, took)
	}
	if !a.cfg.AccessLog {
		return
	}
	path := x.r.URL.Path
	a.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String("method", x.r.Method), slog.String("path", path[:min(len(path), longestLogged)]),
		slog.Int("app", int(x.caller.app.ID)), slog.String("user", string(x.caller.user)), slog.Bool("signed", x.caller.signed),
		slog.Int("code", int(code)), slog.Int("status", status), slog.Int("bytes", size),
		slog.Duration("took", took), slog.String("request", x.caller.id), slog.String("from", x.r.RemoteAddr))
}

// asError is what a client may see of an error.
func asError(err error) chat.Error {
	if err == nil {
		return chat.Error{Code: chat.OK}
	}
	if told, ok := errors.AsType[chat.Error](err); ok {
		return told
	}
	if store.Unavailable(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return chat.Error{Code: chat.Unavailable}
	}
	return chat.Error{Code: chat.Internal}
}
