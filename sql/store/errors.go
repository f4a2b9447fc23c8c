package store

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrMarkMoved is what an Apply gets whose mark is not the partition's: another owner has been there, and nothing was written.
var ErrMarkMoved = errors.New("the mark has moved")

// Unavailable reports whether err says that Postgres is away, overloaded or changing hands, so that the same call may succeed later.
// A context that was canceled says nothing about Postgres.
func Unavailable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return unavailableState(refusal.Code)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.Timeout(err) || pgconn.SafeToRetry(err)
}

func unavailableState(code string) bool {
	switch code {
	case "25006", // a standby: writes go elsewhere
		"55P03": // a lock was not to be had
		return true
	}
	switch code[:2] {
	case "08", // the connection broke
		"40", // a deadlock or a serialization failure: nobody's fault, and gone the next time
		"53", // out of connections, memory or disk
		"57", // shutting down, starting up, or canceled by an operator or a timeout
		"58": // the server's own input or output
		return true
	}
	return false
}

// refused reports whether Postgres refused a row for what is in it.
func refused(err error) bool {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch refusal.Code[:2] {
	case "22", // a value that its type does not hold
		"23", // a constraint
		"54": // too large for an index or a row
		return true
	}
	return false
}
