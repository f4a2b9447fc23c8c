package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
)

// startAPI starts the HTTP API, and returns its URL once it sees so many edges.
func (h *house) startAPI() string {
	h.t.Helper()
	h.start("api", "api", "--http", "127.0.0.1:0", "--auth", "optional", "--no-access-log")
	return "http://" + h.ready(streams.RoleAPI, 1)[0].Addrs["http"]
}

// sentTo asks the API where a TCP client shall connect.
func (h *house) sentTo(api string) (edge string, code chat.Code) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, api+"/v1/user/login", strings.NewReader(`{"appId":10001,"userId":"alice"}`))
	if err != nil {
		h.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Code chat.Code
		Data struct {
			IP   string
			Port int
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		h.t.Fatal(err)
	}
	return net.JoinHostPort(answer.Data.IP, fmt.Sprint(answer.Data.Port)), answer.Code
}

// TestLoginsAreSentToLiveEdges kills an edge, and then stops one: nobody is sent to a dead one four seconds later, nor to one that drains.
func TestLoginsAreSentToLiveEdges(t *testing.T) {
	h := open(t, streams.Layout{})
	if _, err := h.store.ChangeApp(t.Context(), store.DemoApp, func(app *chat.App) error {
		app.RouteModel = chat.RouteRoundRobin
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	edges := make(map[string]*process)
	for i := range 3 {
		name := fmt.Sprint("edge.", i)
		m := h.startEdgeWith(name)
		edges[m.Addrs["tcp"]] = h.processes[len(h.processes)-1]
	}
	api := h.startAPI()
	seen := func() map[string]bool {
		t.Helper()
		at := make(map[string]bool)
		for range 2 * len(edges) {
			edge, code := h.sentTo(api)
			if code != chat.OK && code != chat.NoEdge {
				t.Fatalf("the API answers %v", code)
			}
			if code == chat.OK {
				at[edge] = true
			}
		}
		return at
	}
	h.eventually(10*time.Second, "all edges are answered in turn", func() error {
		if n := len(seen()); n != len(edges) {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	var victims []string
	for addr := range edges {
		victims = append(victims, addr)
	}
	killed, drained := victims[0], victims[1]

	edges[killed].kill()
	gone := time.Now()
	h.eventually(4*time.Second, "the killed edge is answered no more", func() error {
		if seen()[killed] {
			return errors.New("it is")
		}
		return nil
	})
	t.Logf("the killed edge was answered for %v", time.Since(gone).Round(time.Millisecond))

	edges[drained].stop()
	if at := seen(); at[drained] || at[killed] || len(at) != 1 {
		t.Errorf("after one edge was killed and one has stopped, clients are sent to %v", at)
	}
	edges[victims[2]].stop()
	if at := seen(); len(at) != 0 {
		t.Errorf("without an edge clients are sent to %v", at)
	}
}
