package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// lockFile takes the lock that the process which runs an instance holds for as long as it lives. It is the kernel's, so that it ends with the
// process, however that ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer f.Close()
		return nil, fmt.Errorf("data folder in use by pid %d", pidIn(path))
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// stopOrphan stops, in order, the server that a killed process has left. That its socket is answered is the proof that it lives: the
// number in a pid file may long be another process's.
func stopOrphan(ctx context.Context, log *slog.Logger, h home) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", h.socket())
	if err != nil {
		return nil // nobody is there
	}
	conn.Close()
	pid := pidIn(h.pid())
	if pid == 0 {
		return fmt.Errorf("somebody answers at %s, and there is no %s", h.socket(), h.pid())
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		return fmt.Errorf("stop the orphan of pid %d: %w", pid, err)
	}
	again := time.NewTicker(poll)
	defer again.Stop()
	for pidIn(h.pid()) == pid { // its file goes last
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("stop the orphan of pid %d: %w", pid, ctx.Err())
		}
	}
	log.InfoContext(ctx, "orphan postgres stopped", "pid", pid)
	return nil
}

// pidIn returns the number in a file's first line; 0: there is none.
func pidIn(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return number(line)
}

// errOccupied says that another server has the cluster, or has just had it.
var errOccupied = errors.New("another server has the cluster")

// diagnosis adds what the server wrote last to how it ended.
func (h home) diagnosis(ended error) error {
	if ended == nil {
		ended = errors.New("stopped by somebody else")
	}
	b, err := os.ReadFile(h.log())
	if err != nil {
		return errors.Join(ended, err)
	}
	said := strings.TrimSpace(string(b))
	said = said[strings.LastIndexByte(said, '\n')+1:]
	if strings.Contains(said, "lock file ") && strings.Contains(said, "already exists") || strings.Contains(said, "still in use") {
		ended = errOccupied
	}
	return fmt.Errorf("%w: %s", ended, said)
}
