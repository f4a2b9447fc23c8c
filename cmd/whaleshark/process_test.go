package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whaleshark-im/whaleshark/cmd/whaleshark/admin"
)

// oldServer is what a NATS server of some version says until a client knows that version.
func oldServer(t *testing.T, version string) (url string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go greet(conn, version) // ends with the client
		}
	}()
	return "nats://" + l.Addr().String()
}

func greet(conn net.Conn, version string) {
	defer conn.Close()
	fmt.Fprintf(conn, "INFO {\"server_id\":\"x\",\"server_name\":\"old\",\"version\":%q,\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n", version)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "PING") {
			fmt.Fprint(conn, "PONG\r\n")
		}
	}
}

func TestOldBrokerIsRefused(t *testing.T) {
	fails(t, "NATS server old has version 2.15.1; 2.15.2 or newer is needed",
		"worker", "sequence", "--data", t.TempDir(), "--nats", oldServer(t, "2.15.1"))
}

func TestWorkerSaysWhatItWaitsFor(t *testing.T) {
	dir := t.TempDir()
	worker := runInBackground(t, "worker", "persist", "--data", dir, "--nats", "nats://127.0.0.1:1", "--admin", "127.0.0.1:0",
		"--database", "postgres://nobody@/none?host="+filepath.Join(dir, "none"))
	worker.says(worker.errs, `"part":"nats"`)
	worker.says(worker.errs, `"part":"database"`)
	worker.says(worker.errs, "admin server listens")
	text, _ := worker.errs.read()
	report := readyz(t, attribute(t, text, "admin server listens", "address"))
	for part, want := range map[string]string{
		partProcess:  "starting",
		partNATS:     "waiting: connect to nats://127.0.0.1:1",
		partDatabase: "waiting: ",
	} {
		if !strings.HasPrefix(report.Reasons[part], want) {
			t.Errorf("/readyz says of %s: %q, want %q", part, report.Reasons[part], want)
		}
	}
}

func readyz(t *testing.T, addr string) (r admin.Report) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

// attribute returns an attribute of the line of a log that has a message.
func attribute(t *testing.T, log, msg, name string) string {
	t.Helper()
	for line := range strings.Lines(log) {
		var attrs map[string]any
		if json.Unmarshal([]byte(line), &attrs) == nil && attrs["msg"] == msg {
			return fmt.Sprint(attrs[name])
		}
	}
	t.Fatalf("no line %q in\n%s", msg, log)
	return ""
}
