package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config says where an instance lives.
type Config struct {
	Dir      string            // the folder of its files; made when missing
	Log      *slog.Logger      // told what an operator would want to know
	Settings map[string]string // of the server, over this package's own; for tests
}

// settings suit a developer's machine; all that durability needs stays as PostgreSQL has it.
var settings = map[string]string{
	"listen_addresses":        "", // the socket alone
	"port":                    port,
	"cluster_name":            "whaleshark", // shown in the list of processes
	"max_connections":         "100",
	"shared_buffers":          "128MB",
	"max_wal_size":            "1GB",
	"checkpoint_timeout":      "15min",
	"wal_level":               "minimal", // nothing replicates it
	"max_wal_senders":         "0",
	"random_page_cost":        "1.1", // a disk without arms
	"jit":                     "off", // statements are short
	"log_checkpoints":         "off",
	"log_min_messages":        "warning",
	"log_min_error_statement": "panic", // a statement may quote a message,
	"log_error_verbosity":     "terse", // and so may an error's detail
	"lc_messages":             "C",     // Start reads the log
}

const poll = 20 * time.Millisecond

// Instance is a running server, a child of this process. Whoever started it stops it.
type Instance struct {
	home    home
	process *os.Process
	lock    *os.File
	done    chan struct{} // closed when the process has ended
	ended   error         // how; read it after done
}

// Start runs the server of a folder: the first time it creates the cluster and its database, whaleshark; and if the server of a process
// that was killed still runs, it stops that one first. It returns when the server answers, or ctx is done, or nothing more can be hoped for.
func Start(ctx context.Context, c Config) (*Instance, error) {
	i, err := start(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("start postgres in %s: %w", c.Dir, err)
	}
	return i, nil
}

func start(ctx context.Context, c Config) (*Instance, error) {
	h, err := settle(ctx, c)
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(h.lock())
	if err != nil {
		return nil, err
	}
	i, err := startLocked(ctx, c, h)
	if err != nil {
		lock.Close()
		return nil, err
	}
	i.lock = lock
	return i, nil
}

// settle makes the folders.
func settle(ctx context.Context, c Config) (home, error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil { //nolint:gosec // the server's user passes through; what matters within is 0700
		return home{}, err
	}
	h, err := homeOf(c.Dir)
	if err != nil {
		return home{}, err
	}
	if err := os.MkdirAll(h.dir, 0o755); err != nil { //nolint:gosec // as above
		return home{}, err
	}
	if filepath.Dir(h.dir) == elsewhere {
		c.Log.InfoContext(ctx, "the user postgres cannot reach the data folder; the database lives elsewhere", "folder", c.Dir, "database", h.dir)
	}
	return h, h.mkdir(h.sockets)
}

func startLocked(ctx context.Context, c Config, h home) (*Instance, error) {
	b, err := find(ctx, searched(), h.major())
	if err != nil {
		return nil, err
	}
	if !h.exists() {
		if err := create(ctx, b, h); err != nil {
			return nil, err
		}
		c.Log.InfoContext(ctx, "postgres cluster created", "folder", h.dir, "version", b.major)
	}
	i, err := launchAlone(ctx, c, b, h)
	if err != nil {
		return nil, err
	}
	if err := createDatabase(ctx, h); err != nil {
		return nil, errors.Join(err, i.kill(syscall.SIGQUIT))
	}
	return i, nil
}

// create makes the cluster beside its place and then puts it there, so that a half-made one is never found.
func create(ctx context.Context, b binaries, h home) error {
	half := h.data() + ".new"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	if err := h.mkdir(half); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, b.initdb(), "--pgdata", half, "--username", role, "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = half, environment(), h.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	return os.Rename(half, h.data())
}

// launchAlone launches the server once no other one has the cluster. The other one may be an orphan that runs, or one that is
// still on its way up or down and does not listen; that is why it tries more than once.
func launchAlone(ctx context.Context, c Config, b binaries, h home) (*Instance, error) {
	retry := time.NewTicker(250 * time.Millisecond)
	defer retry.Stop()
	for {
		if err := stopOrphan(ctx, c.Log, h); err != nil {
			return nil, err
		}
		i, err := launch(ctx, c, b, h)
		if err == nil || !errors.Is(err, errOccupied) {
			return i, err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

func launch(ctx context.Context, c Config, b binaries, h home) (*Instance, error) {
	if err := os.Rename(h.log(), h.log()+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	log, err := os.Create(h.log())
	if err != nil {
		return nil, err
	}
	defer log.Close() // the server has its own

	cmd := exec.CommandContext(context.WithoutCancel(ctx), b.postgres(), arguments(c, h)...) // its life is longer than the start's
	cmd.Dir, cmd.Env, cmd.SysProcAttr = h.data(), environment(), h.attributes()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	i := &Instance{home: h, process: cmd.Process, done: make(chan struct{})}
	go func() { // ends with the server
		i.ended = cmd.Wait()
		close(i.done)
	}()
	if err := i.ready(ctx); err != nil {
		return nil, errors.Join(err, i.kill(syscall.SIGQUIT))
	}
	return i, nil
}

func arguments(c Config, h home) []string {
	all := maps.Clone(settings)
	maps.Copy(all, c.Settings)
	all["unix_socket_directories"] = quoted(h.sockets)
	args := []string{"-D", h.data()}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}

// environment is all that the server sees of ours: none of the PG variables, and messages in English.
func environment() []string { return []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"} }

// ready waits until the server answers.
func (i *Instance) ready(ctx context.Context) error {
	again := time.NewTicker(poll)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, i.home.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-again.C:
		case <-i.done:
			return i.home.diagnosis(i.ended)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

func createDatabase(ctx context.Context, h home) error {
	conn, err := pgx.Connect(ctx, h.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // nothing is left in it
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+database)
	return err
}

// URL returns where the server is: its socket, role and database.
func (i *Instance) URL() string { return i.home.url(database) }

// URL returns where the server of a folder is, for another process than the one that runs it. The folder exists; whether the server runs,
// the first connection tells.
func URL(dir string) (string, error) {
	h, err := homeOf(dir)
	if err != nil {
		return "", fmt.Errorf("find postgres of %s: %w", dir, err)
	}
	return h.url(database), nil
}

// Done is closed when the server has ended, by Stop or by itself.
func (i *Instance) Done() <-chan struct{} { return i.done }

// Err returns, once Done is closed, how the server ended; nil: in order.
func (i *Instance) Err() error {
	if i.ended == nil {
		return nil
	}
	return fmt.Errorf("postgres ended: %w", i.home.diagnosis(i.ended))
}

// Stop ends the server in order: open transactions are rolled back, and a checkpoint is written. When ctx is done before that, it ends at
// once, and recovers at its next start. Stop also gives the folder free, so it is due even when the server has ended by itself.
func (i *Instance) Stop(ctx context.Context) error {
	defer i.lock.Close()
	select {
	case <-i.done:
		return i.Err()
	default:
	}
	if err := i.process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop postgres: %w", err)
	}
	select {
	case <-i.done:
		return i.Err()
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("stop postgres: %w; ended at once", ctx.Err()), i.kill(syscall.SIGQUIT))
	}
}

// kill ends the server at once, and waits for it.
func (i *Instance) kill(s syscall.Signal) error {
	if err := i.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-i.done
	return nil
}
