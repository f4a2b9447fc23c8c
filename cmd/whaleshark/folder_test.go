package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func take(t *testing.T, dir string) *folder {
	t.Helper()
	own, err := takeFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.release)
	return own
}

func TestFolder(t *testing.T) {
	t.Run("a second process hears who has it", func(t *testing.T) {
		dir := t.TempDir()
		take(t, dir)
		_, err := takeFolder(dir)
		if want := "data folder in use by pid " + strconv.Itoa(os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	})
	t.Run("it is free once it is released", func(t *testing.T) {
		dir := t.TempDir()
		take(t, dir).release()
		take(t, dir)
	})
	t.Run("what a dead process left behind counts for nothing", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, lockName), []byte(`{"pid":1,"nats":"nats://127.0.0.1:1"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := whoRuns(dir); ok {
			t.Errorf("%+v runs, want nothing", got)
		}
		take(t, dir)
		want := running{PID: os.Getpid()}
		if got, _ := whoRuns(dir); got != want {
			t.Errorf("%+v runs, want %+v", got, want)
		}
	})
	t.Run("others read what is announced", func(t *testing.T) {
		dir := t.TempDir()
		want := running{PID: os.Getpid(), NATS: "nats://127.0.0.1:4222", TCP: "127.0.0.1:9001"}
		own := take(t, dir)
		if err := own.announce(running{NATS: strings.Repeat("a longer announcement before ", 10)}); err != nil {
			t.Fatal(err)
		}
		if err := own.announce(want); err != nil {
			t.Fatal(err)
		}
		got, ok := whoRuns(dir)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("runs: %t (-want +got):\n%s", ok, diff)
		}
	})
	t.Run("nothing runs in a folder that is not there", func(t *testing.T) {
		if got, ok := whoRuns(filepath.Join(t.TempDir(), "none")); ok {
			t.Errorf("%+v runs", got)
		}
	})
}
