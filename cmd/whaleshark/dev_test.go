package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

// output is what a command prints, for a test that waits for a part of it.
type output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{} // closed by the next write
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.b.Write(p)
}

func (o *output) read() (text string, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String(), o.more
}

// background is a command that runs until it is stopped.
type background struct {
	t         *testing.T
	name      string
	out, errs *output
	cancel    context.CancelFunc
	done      chan struct{}
	code      int // read it after done
}

func runInBackground(t *testing.T, args ...string) *background {
	t.Helper()
	b := &background{t: t, name: strings.Join(args, " "), out: newOutput(), errs: newOutput(), done: make(chan struct{})}
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(context.Background())
	go func() { // stop ends it
		defer close(b.done)
		b.code = run(ctx, args, strings.NewReader(""), b.out, b.errs)
	}()
	t.Cleanup(b.stop)
	return b
}

// stop stops the command as a signal would; it has to end well.
func (b *background) stop() {
	b.t.Helper()
	b.cancel()
	<-b.done
	if errs, _ := b.errs.read(); b.code != 0 {
		b.t.Errorf("whaleshark %s exits with %d when it is stopped:\n%s", b.name, b.code, errs)
	}
}

// says waits until the command has printed a text.
func (b *background) says(o *output, text string) {
	b.t.Helper()
	late := time.After(time.Minute)
	for {
		got, more := o.read()
		if strings.Contains(got, text) {
			return
		}
		select {
		case <-more:
		case <-b.done:
			errs, _ := b.errs.read()
			b.t.Fatalf("whaleshark %s ended before it said %q:\n%s", b.name, text, errs)
		case <-late:
			errs, _ := b.errs.read()
			b.t.Fatalf("whaleshark %s did not say %q within a minute:\n%s", b.name, text, errs)
		}
	}
}

// runs runs a command to its end, and returns what it printed.
func runs(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(in), &o, &e)
	return code, o.String(), e.String()
}

// prints runs a command that has to end well, and to print a text.
func prints(t *testing.T, in, want string, args ...string) {
	t.Helper()
	code, out, errs := runs(t, in, args...)
	if code != 0 || !strings.Contains(out, want) {
		t.Errorf("whaleshark %s exits with %d and prints\n%s%s; want %q", strings.Join(args, " "), code, out, errs, want)
	}
}

// fails runs a command that has to fail and to say why.
func fails(t *testing.T, want string, args ...string) {
	t.Helper()
	code, _, errs := runs(t, "", args...)
	if code != exitFailed || !strings.Contains(errs, want) {
		t.Errorf("whaleshark %s exits with %d and says\n%s; want %q", strings.Join(args, " "), code, errs, want)
	}
}

// dataFolder is a folder that the user of Postgres can reach.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "whaleshark-cmd-") //nolint:usetesting // t.TempDir is within a folder of mode 0700
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func startDev(t *testing.T, dir string, more ...string) (*background, running) {
	t.Helper()
	args := []string{"dev", "--data", dir, "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	b := runInBackground(t, append(args, more...)...)
	b.says(b.out, "WhaleShark is ready")
	r, ok := whoRuns(dir)
	if !ok {
		t.Fatal("nothing runs on the data folder")
	}
	return b, r
}

func TestDev(t *testing.T) {
	dir := dataFolder(t)
	dev, r := startDev(t, dir)
	alice := []string{"send", "--server", "tcp://" + r.TCP, "--as", "alice"}

	t.Run("a message arrives", func(t *testing.T) {
		bob := runInBackground(t, "listen", "--as", "bob", "--server", "ws://"+r.WS+"/ws", "--json")
		worker := runInBackground(t, "worker", "sequence", "--data", dir) // it finds NATS and Postgres through the folder
		worker.says(worker.errs, "worker started")
		prints(t, "", "10001/p/alice/bob#1", append(alice, "bob", "hello")...)
		prints(t, "one\ntwo\n", "10001/p/alice/bob#3", append(alice, "bob", "-")...)
		for _, want := range []string{`"seq":1,`, `"body":"two"`} {
			bob.says(bob.out, want)
		}
	})
	t.Run("a group hears it, and who was away", func(t *testing.T) {
		prints(t, "", "10001/g/team#1", append(alice, "--group", "team", "hello, all")...)
		b := runInBackground(t, "listen", "--as", "b", "--server", "tcp://"+r.TCP, "--since", "0")
		b.says(b.out, "10001/g/team#1 alice: hello, all")
		fails(t, "not a member of the conversation", "send", "--server", "tcp://"+r.TCP, "--as", "10003", "--group", "team", "me, too")
	})
	t.Run("who has missed very much pulls the newest of it", func(t *testing.T) {
		var lines strings.Builder
		for i := range 1005 {
			fmt.Fprintln(&lines, "line", i)
		}
		prints(t, lines.String(), "10001/p/alice/lld#1005", append(alice, "lld", "-")...)
		lld := runInBackground(t, "listen", "--as", "lld", "--server", "tcp://"+r.TCP, "--since", "0")
		lld.says(lld.out, "older messages are left out")
		lld.says(lld.out, "10001/p/alice/lld#1005 alice: line 1004")
	})
	t.Run("an app server asks, and so does a process of its own", func(t *testing.T) {
		body := `{"appId":10001,"operater":"alice","userId":"alice"}`
		if code := asks(t, "http://"+r.HTTP+"/v1/user/getUserSequence", body, nil); code != 200 {
			t.Errorf("the API answers %d", code)
		}
		api := runInBackground(t, "api", "--data", dir, "--http", "127.0.0.1:0", "--http", "127.0.0.1:0")
		api.says(api.errs, "api started")
		text, _ := api.errs.read()
		for _, addr := range strings.Split(strings.Trim(attribute(t, text, "api started", "http"), "[]"), " ") {
			if code := asks(t, "http://"+addr+"/v1/user/getUserSequence", body, nil); code != 60000 {
				t.Errorf("the API that wants a userSign answers %d", code)
			}
		}
	})
	t.Run("an app has its options", func(t *testing.T) {
		prints(t, "", "", "app", "set", "10003", "--key", "k", "--login-policy", "single", "--history-before-joining",
			"--administrator", "boss", "--data", dir)
		s, err := store.Open(t.Context(), r.Database, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		got, err := s.App(t.Context(), 10003)
		want := chat.App{
			ID: 10003, Keys: []string{"k"}, LoginPolicy: chat.OneDevice, HistoryBeforeJoining: true,
			RouteModel: chat.RouteHash, DeleteMode: chat.DeleteEverywhere,
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("the app (-want +got):\n%s%v", diff, err)
		}
		if boss, err := s.User(t.Context(), chat.UserKey{App: 10003, User: "boss"}); err != nil || !boss.Admin {
			t.Errorf("its administrator is %+v, %v", boss, err)
		}
	})
	t.Run("an app's webhook is told what was said", func(t *testing.T) { webhookIsTold(t, dir, alice) })
	t.Run("the tools find everything through the data folder", func(t *testing.T) {
		prints(t, "", "admin "+r.Admin+", tcp "+r.TCP, "status", "--data", dir)
		everybodyTellsAnAddress(t, dir)
		prints(t, "", `"body":"hello"`, "audit", "replay", "--data", dir, "--conversation", "10001/p/alice/bob", "--json")
		prints(t, "", "u1 to u4 of app 10001", "seed", "--data", dir, "--users", "4")
		prints(t, "", "", "app", "set", "10002", "--key", "k", "--data", dir)
		prints(t, "", "schema version", "migrate", "--data", dir)
	})
	t.Run("the log and the rows agree", func(t *testing.T) {
		prints(t, "", "all is as it must be", "audit", "verify", "--data", dir)
	})
	t.Run("a userSign of the app's key logs in", func(t *testing.T) {
		_, sign, _ := runs(t, "", "sign", "u1", "--data", dir)
		prints(t, "", "10001/p/u1/u2#1", "send", "--server", "tcp://"+r.TCP, "--as", "u1", "--sign", strings.TrimSpace(sign), "u2", "hi")
	})
	t.Run("a userSign of somebody else does not", func(t *testing.T) {
		_, sign, _ := runs(t, "", "sign", "u2", "--data", dir)
		fails(t, "another user", "send", "--server", "tcp://"+r.TCP, "--as", "u1", "--sign", strings.TrimSpace(sign), "u2", "hi")
	})
	t.Run("a second one on the folder hears who has it", func(t *testing.T) {
		fails(t, "data folder in use by pid ", "dev", "--data", dir)
	})
	t.Run("a taken address is named with its flag", func(t *testing.T) {
		other := []string{"dev", "--data", t.TempDir(), "--nats", r.NATS, "--database", r.Database}
		fails(t, r.Admin+": bind: address already in use; --admin", append(other, "--admin", r.Admin)...)
		other = append(other, "--admin", "127.0.0.1:0")
		fails(t, r.HTTP+": bind: address already in use; --http", append(other, "--http", r.HTTP, "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0")...)
		other = append(other, "--http", "127.0.0.1:0")
		fails(t, r.TCP+": bind: address already in use; --tcp", append(other, "--tcp", r.TCP, "--ws", "127.0.0.1:0")...)
		fails(t, r.WS+": bind: address already in use; --ws", append(other, "--tcp", "127.0.0.1:0", "--ws", r.WS)...)
	})
	t.Run("a start finds everything again", func(t *testing.T) {
		dev.stop()
		_, r := startDev(t, dir)
		prints(t, "", "10001/p/alice/bob#4", "send", "--server", "tcp://"+r.TCP, "--as", "alice", "bob", "again")
	})
}

// webhookIsTold gives the app a webhook that fails, and looks at what it has not heard.
func webhookIsTold(t *testing.T, dir string, alice []string) {
	t.Helper()
	heard := make(chan string, 100)
	var well atomic.Bool
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !well.Load() {
			w.WriteHeader(http.StatusTeapot)
		}
		heard <- r.URL.RawQuery + " " + string(body)
	}))
	defer app.Close()
	set := []string{"app", "set", "10001", "--key", "bantanger", "--data", dir}
	fails(t, `there is no hook "no.hook"`, append(set, "--hooks", "no.hook")...)
	fails(t, "a webhook has a URL such as", append(set, "--hook-url", "ftp://x/y")...)
	prints(t, "", "", append(set, "--hook-url", app.URL, "--hook-secret", "s", "--hooks", "message.send.after,message.read")...)
	prints(t, "", "there is none", "webhook", "list", "--data", dir)
	for said := false; !said; {
		prints(t, "", "10001/p/a/alice#", append(alice, "a", "for the webhook")...)
		select {
		case got := <-heard:
			said = true
			if !strings.HasPrefix(got, `appId=10001&command=message.send.after {"appId":10001,"fromId":"alice","toId":"a",`) {
				t.Errorf("it heard %s", got)
			}
		case <-time.After(time.Second): // the worker's directory has not heard of the hook yet
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, out, _ := runs(t, "", "webhook", "list", "--data", dir); strings.Contains(out, "it answered 418") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the list does not tell what has failed")
		}
	}
	_, out, _ := runs(t, "", "webhook", "list", "--all", "--json", "--app", "10001", "--data", dir)
	var first listedCall
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&first); err != nil || first.Command != "message.send.after" {
		t.Fatalf("the list in JSON is %v\n%s", err, out)
	}
	prints(t, "", "1 calls are tried now", "webhook", "retry", fmt.Sprint(first.ID), "--data", dir)
	well.Store(true)
	prints(t, "", "0 calls are tried now", "webhook", "retry", "--all", "--data", dir)
	fails(t, "give the ids of calls, or --all", "webhook", "retry", "--data", dir)
	prints(t, "", "", set...) // no webhook any more
}

func TestDevWithoutOptionalLogins(t *testing.T) {
	_, r := startDev(t, dataFolder(t), "--auth", "required")
	fails(t, "a userSign is needed", "send", "--server", "tcp://"+r.TCP, "--as", "alice", "bob", "hello")
}

func TestStatusesAsLines(t *testing.T) {
	for want, h := range map[string]heard{
		"a is offline":                         {Status: wire.Offline},
		"a is online":                          {Status: wire.Online},
		"a is online: here":                    {Status: wire.Online, What: "here"},
		"a is online, with status 7: \ufffdhm": {Status: 7, What: "\x1bhm"},
	} {
		h.Kind, h.From = "status", "a"
		if got := h.line(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestListenEscapesWhatWouldSteerTheTerminal(t *testing.T) {
	h := heard{Kind: "message", Conversation: "10001/p/a/b", Seq: 1, From: "a", Body: "\x1b[2Jhi\nthere"}
	if got, want := h.line(), "10001/p/a/b#1 a: \ufffd[2Jhi\ufffdthere"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
