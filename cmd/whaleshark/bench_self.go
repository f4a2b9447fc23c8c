package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	selfStart = 2 * time.Minute  // as long as Postgres may take
	selfStop  = 30 * time.Second // then it is killed
)

// self is a server of the bench's own: another process of this program, on a folder of its own.
type self struct {
	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; read it after done
	said tail          // the end of what it has said
}

// startSelf starts a server, and returns when clients can connect to it. A process group of its own keeps a Ctrl-C from it: the bench stops it,
// and after that removes the folder.
func startSelf(ctx context.Context, f benchFlags, errs *stderr) (*self, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	dir, err := os.MkdirTemp(f.SelfIn, "whaleshark-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the server: %w", err)
	}
	s := &self{dir: dir, done: make(chan struct{})}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // Postgres may run as a user of its own below it, and has to get there
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	args := []string{
		"dev", "--data", dir, "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--http", "127.0.0.1:0",
		"--nats", "", "--database", "", "--rate", "1000000", "--burst", "1000000", "--log-level", "warn", "--log-format", "text",
	}
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), program, append(args, f.SelfFlag...)...)
	s.cmd.Stderr, s.cmd.SysProcAttr = &s.said, ownGroup()
	started := make(chan error)
	go s.run(started) // ends with the server
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start a server: %w", err), os.RemoveAll(dir))
	}
	r, err := s.await(ctx)
	if err != nil {
		s.stop()
		return nil, err
	}
	fmt.Fprintf(errs, "a server of its own: pid %d, %s, http://%s/debug/pprof, in %s\n", r.PID, r.TCP, r.Admin, dir)
	return s, nil
}

// outlive lets a bench end in order when its terminal has gone, or whoever read what it says: it has a server to stop and a folder to remove.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	signal.Ignore(syscall.SIGPIPE)
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

// await waits until clients can connect.
func (s *self) await(ctx context.Context) (running, error) {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	late := time.After(selfStart)
	for {
		if r, ok := whoRuns(s.dir); ok && r.TCP != "" {
			return r, nil
		}
		select {
		case <-look.C:
		case <-s.done:
			return running{}, fmt.Errorf("the server has ended before it was ready: %w\n%s", s.err, s.said.text())
		case <-late:
			return running{}, fmt.Errorf("the server was not ready within %s\n%s", selfStart, s.said.text())
		case <-ctx.Done():
			return running{}, ctx.Err()
		}
	}
}

// stop stops the server and removes its folder. It does not look at a context: what was started must go, whatever has happened.
func (s *self) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it has ended, perhaps
	select {
	case <-s.done:
	case <-time.After(selfStop):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	_ = os.RemoveAll(s.dir) // what is left is in the temporary folder
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b = append(t.b, p...); len(t.b) > tailBytes {
		t.b = bytes.Clone(t.b[len(t.b)-tailBytes:])
	}
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

func (s *self) wait(started chan<- error) {
	err := s.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	s.err = s.cmd.Wait()
	close(s.done)
}
