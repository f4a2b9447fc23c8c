package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// folderVariable makes the test's binary a process that starts the instance of a folder, says so, and runs until it is killed.
const folderVariable = "POSTGRES_TEST_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(folderVariable); dir != "" {
		if _, err := Start(context.Background(), Config{Dir: dir, Log: slog.New(slog.DiscardHandler)}); err != nil {
			fmt.Fprintln(os.Stdout, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, "started")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// folder returns a folder that the server's user can reach, removed at the end with what it has running.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg-") //nolint:usetesting // t.TempDir is closed to the server's user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if pid := pidIn(filepath.Join(dir, "data", "postmaster.pid")); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGQUIT)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil { // the server's user passes through
		t.Fatal(err)
	}
	return dir
}

func mustStart(t *testing.T, dir string) *Instance {
	t.Helper()
	i, err := Start(t.Context(), Config{Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func stop(t *testing.T, i *Instance) {
	t.Helper()
	if err := i.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// query runs a statement in the database at url, and returns the one value that it finds.
func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var s string
	if err := conn.QueryRow(t.Context(), sql).Scan(&s); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", sql, err)
	}
	return s
}

func TestStartStopStartAgain(t *testing.T) {
	dir := folder(t)
	i := mustStart(t, dir)
	url, err := URL(dir)
	if err != nil || url != i.URL() {
		t.Errorf("the URL for others is %q, %v; want %q", url, err, i.URL())
	}
	query(t, url, `CREATE TABLE kept (x int)`)
	for setting, want := range map[string]string{"server_encoding": "UTF8", "listen_addresses": "", "fsync": "on", "lc_collate": "C"} {
		if got := query(t, url, "SHOW "+setting); got != want {
			t.Errorf("%s is %q; want %q", setting, got, want)
		}
	}

	_, err = Start(t.Context(), Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if want := fmt.Sprintf("data folder in use by pid %d", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a second start: %v; want %q", err, want)
	}

	stop(t, i)
	<-i.Done()
	if err := i.Err(); err != nil {
		t.Errorf("ended with %v; want it in order", err)
	}
	i = mustStart(t, dir)
	defer stop(t, i)
	if got := query(t, url, `SELECT to_regclass('kept')::text`); got != "kept" {
		t.Errorf("after a restart the table is %q; want it kept", got)
	}
}

func TestOrphanIsStopped(t *testing.T) {
	dir := folder(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), self)
	parent.Env = append(os.Environ(), folderVariable+"="+dir)
	hold, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 100)
	if n, _ := out.Read(said); string(said[:n]) != "started\n" {
		t.Fatalf("the parent said %q; want that it has started", said[:n])
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()

	url, err := URL(dir)
	if err != nil {
		t.Fatal(err)
	}
	query(t, url, `CREATE TABLE kept (x int)`) // the orphan answers
	orphan := pidIn(filepath.Join(dir, "data", "postmaster.pid"))

	i := mustStart(t, dir)
	defer stop(t, i)
	if pid := pidIn(filepath.Join(dir, "data", "postmaster.pid")); pid == orphan || pid != i.process.Pid {
		t.Errorf("the server is %d; want a new one, %d, not the orphan, %d", pid, i.process.Pid, orphan)
	}
	if got := query(t, url, `SELECT to_regclass('kept')::text`); got != "kept" {
		t.Errorf("the orphan's table is %q; want it kept", got)
	}
}

func TestServerThatIsKilledSaysSoAndStartsAgain(t *testing.T) {
	dir := folder(t)
	i := mustStart(t, dir)
	if err := i.process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-i.Done()
	if err := i.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("ended with %v; want that it was killed", err)
	}
	if err := i.Stop(t.Context()); err == nil {
		t.Error("stop of a server that was killed says nothing")
	}
	stop(t, mustStart(t, dir))
}

func TestStopInAHurryEndsAtOnce(t *testing.T) {
	i := mustStart(t, folder(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("stop without time: %v; want it to say so", err)
	}
	<-i.Done()
}

func TestFullLogOfAFailedStartIsTold(t *testing.T) {
	_, err := Start(t.Context(), Config{
		Dir: folder(t), Log: slog.New(slog.DiscardHandler), Settings: map[string]string{"shared_buffers": "much"},
	})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers"`) {
		t.Errorf("start with a bad setting: %v; want the server's own words", err)
	}
}

func TestLongPathHasItsSocketElsewhere(t *testing.T) {
	dir := filepath.Join(folder(t), strings.Repeat("a long way down/", 8))
	i := mustStart(t, dir)
	defer os.RemoveAll(i.home.sockets)
	defer stop(t, i)
	if !strings.HasPrefix(i.home.sockets, "/tmp/whaleshark-") {
		t.Errorf("sockets are in %s; want /tmp/whaleshark-…", i.home.sockets)
	}
	if url, err := URL(dir); err != nil || url != i.URL() {
		t.Errorf("the URL for others is %q, %v; want %q", url, err, i.URL())
	}
	query(t, i.URL(), `SELECT 'here'`)
}

func TestFolderOutOfReachHasASubstitute(t *testing.T) {
	stranger := &account{uid: 12345, gid: 12345, groups: []uint32{12345}}
	was := elsewhere
	defer func() { elsewhere = was }()
	elsewhere = t.TempDir()
	dir := folder(t)
	closed := filepath.Join(dir, "closed")
	if err := os.MkdirAll(filepath.Join(closed, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	substitute := filepath.Join(elsewhere, hash(closed))
	check := func(reason, dir, want string) {
		t.Helper()
		if got, err := withinReach(dir, stranger); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", reason, got, err, want)
		}
	}
	check("open", dir, dir)
	check("closed", closed, substitute)

	cluster := func(dir string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cluster(closed)
	if got, err := withinReach(closed, stranger); err == nil {
		t.Errorf("closed, with a cluster: %s; want an error, not an empty substitute", got)
	}
	if err := os.Chmod(closed, 0o711); err != nil {
		t.Fatal(err)
	}
	cluster(substitute)
	check("opened later, with a cluster in the substitute", closed, substitute)
}

func TestSocketsOfAnotherUserAreRefused(t *testing.T) {
	dir := filepath.Join(folder(t), "run")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := (home{}).mkdir(dir); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a folder that others may write to: %v; want it refused", err)
	}
}

func TestMissingBinariesSayHowToInstallThem(t *testing.T) {
	for _, major := range []int{0, 9} {
		_, err := find(t.Context(), []string{t.TempDir()}, major)
		if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "install it with") {
			t.Errorf("version %d: %v; want %v, and how to install it", major, err, ErrMissing)
		}
	}
	if got := howToInstall("plan9"); strings.Contains(got, "brew") {
		t.Errorf("another system is told %q", got)
	}
}

func TestBinariesFitTheCluster(t *testing.T) {
	old, current := t.TempDir(), t.TempDir()
	for dir, version := range map[string]string{old: "13.4", current: "17beta1"} {
		for _, name := range []string{"postgres", "initdb"} {
			script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + " (Somebody)'\n"
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	for major, want := range map[int]string{0: current, 13: old, 17: current} {
		if b, err := find(t.Context(), []string{old, current}, major); err != nil || b.dir != want {
			t.Errorf("for a cluster of version %d: %v, %v; want %s", major, b, err, want)
		}
	}
}
