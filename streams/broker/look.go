package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Oldest is the oldest version of nats-server that WhaleShark was tested with and trusts.
const Oldest = "2.15.2"

// What a server answers of itself. A ping reaches all servers of a cluster, and each answers, the nearest first. An account may ask only
// if it imports the subject from the system account.
const (
	askWhat = "$SYS.REQ.SERVER.PING.VARZ"
	askHow  = "$SYS.REQ.SERVER.PING.HEALTHZ"

	answerTimeout = time.Second // for the servers of a cluster that do not answer
)

// Sight is what can be seen of the servers behind a connection.
type Sight struct {
	Servers []Server
}

// Server is one of them.
type Server struct {
	Name       string
	Version    string
	Answered   bool // it was asked and has answered; otherwise name and version are those of its greeting
	SyncAlways bool // it fsyncs before it acknowledges; known only if it answered
}

// Look asks the servers behind a connection what they are. It is no error if they may not be asked: what is seen then says so.
func Look(ctx context.Context, nc *nats.Conn) (Sight, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	inbox := nc.NewRespInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		return Sight{}, fmt.Errorf("ask the NATS server what it is: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }() // it fails only when the connection is gone, and the subscription with it
	if err := nc.PublishRequest(askWhat, inbox, nil); err != nil {
		return Sight{}, fmt.Errorf("ask the NATS server what it is: %w", err)
	}
	s := Sight{}
	for all := 1; len(s.Servers) < all; {
		v, err := next(ctx, answers)
		switch {
		case err == nil:
			s.Servers = append(s.Servers, v.seen())
			all = max(all, 1+v.Remotes)
		case len(s.Servers) > 0 && errors.Is(err, context.DeadlineExceeded):
			return s, nil // the rest of the cluster is not there now
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
			return greeting(nc), nil
		default:
			return Sight{}, fmt.Errorf("ask the NATS server what it is: %w", err)
		}
	}
	return s, nil
}

type varz server.Varz

func next(ctx context.Context, answers *nats.Subscription) (*varz, error) {
	msg, err := answers.NextMsgWithContext(ctx)
	if err != nil {
		return nil, err
	}
	answer := struct{ Data varz }{}
	err = json.Unmarshal(msg.Data, &answer)
	return &answer.Data, err
}

func (v *varz) seen() Server {
	return Server{
		Name:       v.Name,
		Version:    v.Version,
		Answered:   true,
		SyncAlways: v.JetStream.Config != nil && v.JetStream.Config.SyncAlways,
	}
}

// greeting is what a server tells whoever connects.
func greeting(nc *nats.Conn) Sight {
	return Sight{[]Server{{Name: nc.ConnectedServerName(), Version: nc.ConnectedServerVersion()}}}
}

// Err says why WhaleShark cannot stand on these servers, if it cannot.
func (s Sight) Err() error {
	for _, v := range s.Servers {
		old, err := older(v.Version, Oldest)
		if err != nil {
			return fmt.Errorf("NATS server %s: %w", v.Name, err)
		}
		if old {
			return fmt.Errorf("NATS server %s has version %s; %s or newer is needed", v.Name, v.Version, Oldest)
		}
	}
	return nil
}

// Warning says why an acknowledgement to a client proves less on these servers than it should; "" if it proves all.
func (s Sight) Warning() string {
	for _, v := range s.Servers {
		switch {
		case !v.Answered:
			return "it cannot be seen whether NATS server " + v.Name + " has sync_interval: always (its account may not ask " + askWhat +
				"): acknowledged messages may be lost with its power"
		case !v.SyncAlways:
			return "NATS server " + v.Name + " does not have sync_interval: always: acknowledged messages may be lost with its power"
		}
	}
	return ""
}

// Health asks the nearest server how it is, and returns what ails it. A server that may not be asked counts as well.
func Health(ctx context.Context, nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, askHow, nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask the NATS server how it is: %w", err)
	}
	answer := struct{ Data server.HealthStatus }{}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return fmt.Errorf("ask the NATS server how it is: %w", err)
	}
	if h := answer.Data; h.Status != "ok" {
		return fmt.Errorf("NATS server %s is not well: %s", nc.ConnectedServerName(), h.Error)
	}
	return nil
}

// older compares two versions by their three numbers; what stands after them is not looked at.
func older(a, b string) (bool, error) {
	x, err := numbers(a)
	if err != nil {
		return false, err
	}
	y, err := numbers(b)
	return slices.Compare(x[:], y[:]) < 0, err
}

func numbers(version string) (n [3]int, err error) {
	if _, err := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d.%d", &n[0], &n[1], &n[2]); err != nil {
		return n, fmt.Errorf("%q is no version of nats-server", version)
	}
	return n, nil
}
