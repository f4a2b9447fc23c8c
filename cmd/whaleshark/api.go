package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/whaleshark-im/whaleshark/api"
	"github.com/whaleshark-im/whaleshark/directory"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/streams"
)

// httpFlags bound what a request to the HTTP API may do.
type httpFlags struct {
	HTTPMaxBody int64         `name:"http-max-body" default:"1048576" help:"Longest body of a request to the HTTP API, in bytes."`
	HTTPTimeout time.Duration `name:"http-timeout" default:"10s" help:"How long a request to the HTTP API may take."`
	AppRate     float64       `default:"5000" help:"How many requests an app may make in a second, at each process of the HTTP API."`
	UserRate    float64       `default:"200" help:"How many of them one user may make; administrators with a userSign have no limit of their own."`
}

// apiConfig fills the API's config.
func (f httpFlags) apiConfig(listen, origins []string, auth string, accessLog bool) api.Config {
	cfg := api.Config{
		Listen: listen, Origins: origins, Auth: api.AuthRequired, AccessLog: accessLog,
		MaxBody: f.HTTPMaxBody, RequestTimeout: f.HTTPTimeout, AppRate: f.AppRate, UserRate: f.UserRate,
	}
	if auth == "optional" {
		cfg.Auth = api.AuthOptional
	}
	return cfg
}

type apiCmd struct {
	HTTP      []string `name:"http" default:"127.0.0.1:8000" help:"Address of the HTTP API; may be given several times; port 0 picks a free one."`
	Auth      string   `default:"required" enum:"required,optional" help:"required: a request needs a valid userSign; optional: one without is believed, one that comes is checked."`
	CORS      []string `name:"cors" placeholder:"ORIGIN" help:"Origin of pages that may ask, such as https://example.org; * is all; may be given several times."`
	AccessLog bool     `default:"true" negatable:"" help:"Log each request."`
	httpFlags

	dataFlags
	natsFlags
	databaseFlags
	adminFlags
	userFlags
	directoryFlags
	historyFlags
	layoutFlags
}

func (apiCmd) Help() string {
	return `Answers requests of app servers, until it is told to stop: then it finishes those that are under way. Any number of processes may do so. It
waits for NATS and for the migrated database, and its log says for what. /docs describes every endpoint, and /openapi.json does so for tools.

Examples:

    whaleshark api
    whaleshark api --http :8000 --http :8001 --cors https://chat.example.org
    whaleshark api --http 127.0.0.1:0 --auth optional --no-access-log`
}

func (c apiCmd) Run(ctx context.Context, log *slog.Logger) error {
	p, err := openProcess(ctx, log, c.adminFlags)
	if err != nil {
		return err
	}
	defer p.close()
	at := brokerAt{url: func() string { return c.natsFlags.url(c.dataFlags) }}
	database := func() (string, error) { return c.databaseFlags.url(c.dataFlags) }
	if err := p.connect(ctx, at, c.layout(), database); err != nil {
		return err
	}
	d, err := p.directory(ctx, c.directoryFlags)
	if err != nil {
		return err
	}
	cfg := c.apiConfig(c.HTTP, c.CORS, c.Auth, c.AccessLog)
	cfg.MaxUserID = c.MaxUserID
	a, err := p.listenHTTP(ctx, cfg, d, p.history(c.historyFlags))
	if err != nil {
		return err
	}
	p.running(ctx)
	log.InfoContext(ctx, "api started", "http", a.Addrs(), "admin", p.admin.Addr(), "auth", c.Auth)
	return a.Run(ctx)
}

// listenHTTP opens the addresses of the HTTP API, which serves nobody before its Run.
func (p *process) listenHTTP(ctx context.Context, cfg api.Config, d *directory.Directory, h *history.History) (*api.API, error) {
	cfg.Node, cfg.Metrics, cfg.Addrs = streams.NewNode(), p.metrics, map[string]string{"admin": p.admin.Addr()}
	cfg.Log = p.log.With("role", streams.RoleAPI, "node", cfg.Node)
	a := api.New(cfg, p.store, p.streams, h, d)
	if err := a.Listen(ctx); err != nil {
		return nil, takenBy(err, "--http")
	}
	p.ready.Need(partAPI, a.Ready)
	return a, nil
}

// advertised is where clients shall connect: an address that the operator gives, or else the one that is listened on, with the machine's name in
// place of a host that means all of its addresses. A host that is given alone gets the port that is listened on.
func advertised(given, listened, machine string) (string, error) {
	host, port, err := net.SplitHostPort(listened)
	if err != nil {
		return "", err
	}
	if given == "" {
		if ip := net.ParseIP(host); (host == "" || ip != nil && ip.IsUnspecified()) && machine != "" {
			host = machine
		}
		return net.JoinHostPort(host, port), nil
	}
	givenHost, givenPort, err := net.SplitHostPort(given)
	if missing, ok := errors.AsType[*net.AddrError](err); ok && missing.Err == "missing port in address" {
		givenHost, givenPort, err = given, port, nil
	}
	if err != nil {
		return "", err
	}
	if givenHost == "" {
		return "", &net.AddrError{Err: "missing host in address", Addr: given}
	}
	if n, err := strconv.ParseUint(givenPort, 10, 16); err != nil || n == 0 {
		return "", &net.AddrError{Err: "bad port", Addr: given}
	}
	return net.JoinHostPort(givenHost, givenPort), nil
}
