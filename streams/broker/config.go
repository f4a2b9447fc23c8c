package broker

import (
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// Config says what server to run.
type Config struct {
	Dir    string       // where JetStream keeps its files
	Listen string       // host:port for clients; port 0 picks a free one; "": only connections within the process
	Log    *slog.Logger // nil: the server logs nothing

	file *server.Options // of ReadConfig: what the file says, Dir and Listen included
}

// accounts is the part of a server's configuration that every WhaleShark broker has in common.
//
//go:embed accounts.conf
var accounts string

// maxMemory bounds the streams in memory of a server that is not configured by a file, in bytes.
const maxMemory = 1 << 30

// ReadConfig reads a configuration file of nats-server. The file decides everything, where the server logs to included: if it names
// no log, log is used.
func ReadConfig(path string, log *slog.Logger) (Config, error) {
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	if err := mayHoldLog(opts); err != nil {
		return Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	opts.NoSigs = true
	opts.DisableJetStreamBanner = true
	return Config{
		Dir:    opts.StoreDir,
		Listen: net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port)),
		Log:    log,
		file:   opts,
	}, nil
}

// mayHoldLog refuses what would start well and lose the log later.
func mayHoldLog(opts *server.Options) error {
	switch {
	case !opts.JetStream:
		return errors.New("there is no jetstream block; the log of all messages is kept in JetStream")
	case opts.StoreDir == "":
		return errors.New("jetstream has no store_dir; without it the log of all messages would be in a temporary folder")
	}
	return nil
}

func (c Config) options() (*server.Options, error) {
	if c.file != nil {
		return c.file.Clone(), nil
	}
	opts := &server.Options{}
	if err := opts.ProcessConfigString(accounts); err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	opts.ServerName = "whaleshark"
	opts.NoSigs = true
	opts.DisableJetStreamBanner = true
	opts.JetStream = true
	opts.StoreDir = c.Dir
	opts.SyncAlways = true
	opts.JetStreamMaxMemory = maxMemory // on disk the server stops by itself at three quarters of what was free when it started
	return opts, c.listen(opts)
}

func (c Config) listen(opts *server.Options) error {
	if c.Listen == "" {
		opts.DontListen = true
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen address: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("listen address %s: %w", c.Listen, err)
	}
	opts.Host, opts.Port = host, int(n)
	if n == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return nil
}
