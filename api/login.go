package api

import (
	"context"
	"fmt"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

func (a *API) loginEndpoints() []endpoint {
	return of("user",
		define("/v1/user/login", "Tells a device which edge to connect to; it proves who it is there.",
			forAnybody, a.login, chat.NoEdge),
	)
}

type edgeQuery struct {
	UserID string `json:"userId" is:"required,max=50" about:"Who is about to connect."`
	Client int32  `json:"clientType" is:"enum=0|1|2|3|4|5" about:"The kind of the device: 1, a browser, is told where WebSockets are served, all others where TCP is."`
}

type edgeAt struct {
	IP   string `json:"ip" about:"An address, or a name."`
	Port int64  `json:"port"`
}

func (a *API) login(_ context.Context, c *caller, in *edgeQuery) (edgeAt, error) {
	s, err := a.see()
	if err != nil {
		return edgeAt{}, err
	}
	edges := addressesFor(s.members.Lively(streams.RoleEdge), chat.ClientType(in.Client))
	turn := uint64(0)
	if c.app.RouteModel == chat.RouteRoundRobin {
		turn = a.turn.Add(1)
	}
	edge, ok := choose(edges, c.app.RouteModel, chat.UserID(in.UserID), turn)
	if !ok {
		return edgeAt{}, chat.Error{Code: chat.NoEdge}
	}
	host, port, err := splitAddr(edge)
	if err != nil {
		return edgeAt{}, fmt.Errorf("an edge announces the address %q: %w", edge, err)
	}
	return edgeAt{host, port}, nil
}
