//go:build !linux

package edge

import (
	"net"

	"github.com/whaleshark-im/whaleshark/chat"
)

// poller is known on Linux only. Elsewhere connections do not rest.
type poller struct{}

func newPoller() (*poller, error) { return &poller{}, nil }

func (*poller) watch(net.Conn, chat.SessionID) bool { return false }

func (*poller) wait(func(chat.SessionID)) {}

func (*poller) close() {}
