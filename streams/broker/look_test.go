package broker_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/streams/broker"
)

func look(t *testing.T, b *broker.Broker) broker.Sight {
	t.Helper()
	s, err := broker.Look(t.Context(), connect(t, b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantNoWarning(t *testing.T, s broker.Sight) {
	t.Helper()
	if err := s.Err(); err != nil {
		t.Errorf("the server is refused: %v", err)
	}
	if w := s.Warning(); w != "" {
		t.Errorf("there is a warning: %s", w)
	}
}

func wantWarning(t *testing.T, s broker.Sight, part string) {
	t.Helper()
	if err := s.Err(); err != nil {
		t.Errorf("the server is refused: %v", err)
	}
	if w := s.Warning(); !strings.Contains(w, part) {
		t.Errorf("the warning is %q, want one with %q", w, part)
	}
}

func TestLook(t *testing.T) {
	t.Run("our own server fsyncs before it acknowledges", func(t *testing.T) {
		wantNoWarning(t, look(t, start(t, broker.Config{Dir: t.TempDir()})))
	})
	t.Run("so does the one of the project's nats.conf", func(t *testing.T) {
		wantNoWarning(t, look(t, startFile(t, projectFile(t))))
	})
	t.Run("a server of two minutes is seen", func(t *testing.T) {
		text := strings.Replace(projectFile(t), "sync_interval: always", "sync_interval: 2m", 1)
		wantWarning(t, look(t, startFile(t, text)), "does not have sync_interval: always")
	})
	t.Run("a server that does not tell is doubted", func(t *testing.T) {
		b := startFile(t, "port: -1", "jetstream { store_dir: '"+t.TempDir()+"', sync_interval: always }")
		wantWarning(t, look(t, b), "cannot be seen")
	})
}

// projectFile is the project's nats.conf on a free port and in a folder of its own.
func projectFile(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("127.0.0.1:4222", "127.0.0.1:-1", ".data/nats", t.TempDir()).Replace(string(b))
}

func TestProjectFileHasTheAccounts(t *testing.T) {
	accounts, err := os.ReadFile("accounts.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(projectFile(t), string(accounts)) {
		t.Error("nats.conf does not end with the text of accounts.conf")
	}
}

func TestLookSeesTheWholeCluster(t *testing.T) {
	cluster := func(name, routes string) *broker.Broker {
		text := strings.Replace(projectFile(t), "server_name: whaleshark", "server_name: "+name, 1)
		return startFile(t, text, "cluster { name: x, listen: '127.0.0.1:-1', routes: ["+routes+"], no_advertise: true }")
	}
	a := cluster("a", "'nats://127.0.0.1:1'") // JetStream wants a route, even to nobody
	b := cluster("b", "'nats://"+a.Server().ClusterAddr().String()+"'")
	tick, late := time.NewTicker(10*time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for a.Server().NumRoutes() == 0 || b.Server().NumRoutes() == 0 {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("the servers did not meet")
		}
	}
	got := []string{}
	for _, s := range look(t, b).Servers {
		got = append(got, s.Name)
	}
	slices.Sort(got)
	if want := []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("servers %v, want %v", got, want)
	}
}

func TestErr(t *testing.T) {
	for version, refused := range map[string]bool{
		"2.15.2":       false,
		"2.15.10":      false,
		"2.16.0-beta1": false,
		"3.0.0":        false,
		"2.15.1":       true,
		"2.9.30":       true,
		"1.99.99":      true,
		"":             true,
		"unknown":      true,
	} {
		err := broker.Sight{Servers: []broker.Server{{Name: "n1", Version: version}}}.Err()
		if got := err != nil; got != refused {
			t.Errorf("version %q: refused %t, want %t (%v)", version, got, refused, err)
		}
		if err != nil && !strings.Contains(err.Error(), "n1") {
			t.Errorf("the error does not name the server: %v", err)
		}
	}
}
