package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/whaleshark-im/whaleshark/bench"
)

const (
	readyPatience = 2 * time.Minute  // as long as Postgres may take
	stopPatience  = 30 * time.Second // then a process is killed
	lookEvery     = 50 * time.Millisecond
)

// house is a server on a folder of its own.
type house struct {
	lab       *lab
	dir       string
	env       []string
	processes []*process // in the order in which they were started
}

// build makes the folder. Nothing of this process's own settings reaches the server.
func (l *lab) build(ctx context.Context) (*house, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(l.in, "whaleshark-growth-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the server: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // Postgres may run as a user of its own below it, and has to get there
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	h := &house{lab: l, dir: dir}
	h.env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "WHALESHARK_") })
	h.env = append(h.env, "WHALESHARK_DATA="+dir, "WHALESHARK_RATE=1000000", "WHALESHARK_BURST=1000000", "WHALESHARK_LOG_FORMAT=json")
	return h, nil
}

// tearDown ends everything, the last first, and removes the folder.
func (h *house) tearDown() {
	for len(h.processes) > 0 {
		h.stop(h.processes[len(h.processes)-1])
	}
	_ = os.RemoveAll(h.dir) // what is left is in the temporary folder
}

// stop ends a process in order.
func (h *house) stop(p *process) {
	h.forget(p)
	p.stop()
}

// kill ends a process without a word to it.
func (h *house) kill(p *process) {
	h.forget(p)
	p.kill()
}

// forget expects nothing of a process any longer.
func (h *house) forget(p *process) {
	h.processes = slices.DeleteFunc(h.processes, func(x *process) bool { return x == p })
}

// dev starts all of it as one process.
func (h *house) dev(ctx context.Context, flags ...string) (*process, error) {
	args := []string{"dev", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-level", "warn"}
	p, err := h.start("dev", append(args, flags...)...)
	if err != nil {
		return nil, err
	}
	return p, h.ready(ctx, map[string]int{"edge": 1, "sequence": 1, "fanout": 1, "persist": 1})
}

// roles starts NATS, Postgres and so many processes of each role, and waits until all of them take part.
func (h *house) roles(ctx context.Context, counts map[string]int, flags ...string) error {
	if err := h.broker(ctx); err != nil {
		return err
	}
	if _, err := h.start("postgres", "postgres", "--seed"); err != nil {
		return err
	}
	for role, n := range counts {
		for range n {
			if _, err := h.role(role, flags...); err != nil {
				return err
			}
		}
	}
	return h.ready(ctx, counts)
}

// role starts a process of a role. Flags are those that all roles have.
func (h *house) role(role string, flags ...string) (*process, error) {
	args := []string{"worker", role}
	switch role {
	case "edge":
		args = []string{"edge", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--auth", "optional"}
	case "api":
		args = []string{"api", "--http", "127.0.0.1:0"}
	}
	return h.start(role, append(args, flags...)...)
}

// broker starts NATS with the project's own configuration, at a port that is free and in the house's folder.
func (h *house) broker(ctx context.Context) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	given, err := os.ReadFile(natsConfig)
	if err != nil {
		return fmt.Errorf("%w; this program is started from the top folder", err)
	}
	config, err := brokerConfig(string(given), fmt.Sprint("127.0.0.1:", port), filepath.Join(h.dir, "nats"))
	if err != nil {
		return fmt.Errorf("%s: %w", natsConfig, err)
	}
	path := filepath.Join(h.dir, natsConfig)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil { //nolint:gosec // a folder of our own
		return err
	}
	h.env = append(h.env, fmt.Sprint("WHALESHARK_NATS=nats://127.0.0.1:", port))
	_, err = h.start("nats", "nats", "--config", path)
	return err
}

const natsConfig = "nats.conf"

var (
	listenLine = regexp.MustCompile(`(?m)^listen: .*$`)
	folderLine = regexp.MustCompile(`(?m)^(\s*)store_dir: .*$`)
)

// brokerConfig is a configuration with another address and another folder.
func brokerConfig(given, listen, dir string) (string, error) {
	if !listenLine.MatchString(given) || !folderLine.MatchString(given) {
		return "", errors.New("it does not say where to listen and where to store")
	}
	given = listenLine.ReplaceAllLiteralString(given, "listen: "+listen)
	return folderLine.ReplaceAllString(given, "${1}store_dir: "+strings.ReplaceAll(strconv.Quote(dir), "$", "$$")), nil
}

// freePort finds a port that nobody listens on now.
func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// process is a child of this program.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // the file that it writes to
	done chan struct{} // closed when it has ended
}

// start starts the server's program with arguments. A process group of its own keeps a Ctrl-C from it: the house ends it.
func (h *house) start(name string, args ...string) (*process, error) {
	log, err := os.CreateTemp(h.dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has it, too
	p := &process{name: name, log: log.Name(), done: make(chan struct{})}
	p.cmd = exec.Command(h.lab.binary, args...) //nolint:noctx // it is stopped in order, whatever has become of a context
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = h.env, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the process
		_ = p.cmd.Wait()
		close(p.done)
	}()
	h.processes = append(h.processes, p)
	return p, nil
}

// stop tells a process to end in order, and returns when it has ended.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it has ended, perhaps
	select {
	case <-p.done:
	case <-time.After(stopPatience):
		p.kill()
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it has ended, perhaps
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// said returns the end of what a process has said.
func (p *process) said() string {
	const end = 2000
	b, _ := os.ReadFile(p.log) // it says nothing, then
	return string(b[max(0, len(b)-end):])
}

// status is what `whaleshark status` tells.
type status struct {
	Members []struct {
		Role   string            `json:"role"`
		Node   string            `json:"node"`
		PID    int               `json:"pid"`
		Active bool              `json:"active"`
		Addrs  map[string]string `json:"addrs"`
	} `json:"members"`
	Partitions []struct {
		Owners map[string]string `json:"owners"` // nodes, by role
		Behind map[string]uint64 `json:"behind"` // by role
	} `json:"partitions"`
}

func (h *house) status(ctx context.Context) (*status, error) {
	out, err := h.run(ctx, "status", "--json")
	if err != nil {
		return nil, err
	}
	s := &status{}
	if err := json.Unmarshal(out, s); err != nil {
		return nil, fmt.Errorf("read the status: %w", err)
	}
	return s, nil
}

// missing says what is not there of what is wanted: so many active members of each role, no more and no less.
func (s *status) missing(want map[string]int) error {
	for role, n := range want {
		there := 0
		for _, m := range s.Members {
			if m.Role == role && m.Active {
				there++
			}
		}
		if there != n {
			return fmt.Errorf("%d of %s are active, want %d", there, role, n)
		}
	}
	return nil
}

// ready waits until so many of each role are there.
func (h *house) ready(ctx context.Context, want map[string]int) error {
	return h.until(ctx, func(s *status) error { return s.missing(want) })
}

// until waits until the status is as it shall be.
func (h *house) until(ctx context.Context, good func(*status) error) error {
	for began := time.Now(); ; {
		s, err := h.status(ctx)
		if err == nil {
			if err = good(s); err == nil {
				return nil
			}
		}
		for _, p := range h.processes {
			if p.ended() {
				return fmt.Errorf("%s has ended: %s\n%s", p.name, p.cmd.ProcessState, p.said())
			}
		}
		if time.Since(began) > readyPatience {
			return fmt.Errorf("not ready within %s: %w", readyPatience, err)
		}
		if err := bench.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}
