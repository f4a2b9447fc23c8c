package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockName is the file in a data folder that its process has locked. The lock goes with the process, however that ends; what the file says
// counts only while it is locked.
const (
	lockName  = "whaleshark.lock"
	lockRetry = 50 * time.Millisecond
)

// running is what a process that owns a data folder tells others on the machine.
type running struct {
	PID      int    `json:"pid"`
	NATS     string `json:"nats,omitempty"`     // URL
	Database string `json:"database,omitempty"` // URL
	TCP      string `json:"tcp,omitempty"`
	WS       string `json:"ws,omitempty"`
	HTTP     string `json:"http,omitempty"` // the first address of the HTTP API
	Admin    string `json:"admin,omitempty"`
}

// folder is a data folder that this process has to itself.
type folder struct {
	lock *os.File
}

// takeFolder creates the folder if it is missing, and locks it.
func takeFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // Postgres may run as a user of its own below it, and has to get there
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // others may see who runs
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := lockExclusive(f); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
		}
		return nil, fmt.Errorf("data folder in use by pid %d: %s", readRunning(f).PID, dir)
	}
	own := &folder{f}
	return own, own.announce(running{})
}

// announce tells others what runs here.
func (o *folder) announce(r running) error {
	r.PID = os.Getpid()
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := o.lock.Truncate(0); err != nil {
		return fmt.Errorf("write %s: %w", o.lock.Name(), err)
	}
	if _, err := o.lock.WriteAt(append(b, '\n'), 0); err != nil {
		return fmt.Errorf("write %s: %w", o.lock.Name(), err)
	}
	return nil
}

// release lets others have the folder.
func (o *folder) release() { _ = o.lock.Close() }

// whoRuns tells what runs on a data folder; false: nothing does.
func whoRuns(dir string) (running, bool) {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return running{}, false
	}
	defer f.Close()
	if err := flock(f, syscall.LOCK_SH); err == nil {
		return running{}, false
	}
	return readRunning(f), true
}

// lockExclusive tries twice, for [whoRuns] holds a lock for a moment, too.
func lockExclusive(f *os.File) error {
	err := flock(f, syscall.LOCK_EX)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		<-time.After(lockRetry)
		err = flock(f, syscall.LOCK_EX)
	}
	return err
}

func flock(f *os.File, how int) error {
	return syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
}

// readRunning returns what stands in a lock file; nothing, if its owner is about to write it.
func readRunning(f *os.File) (r running) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<16))
	if err == nil {
		_ = json.Unmarshal(b, &r)
	}
	return r
}
