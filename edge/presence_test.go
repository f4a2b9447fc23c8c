package edge

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

func TestThoseWhoWatchAreTold(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		delay := te.cfg.PresenceDelay + sweepInterval
		alice, old := te.login(3, "alice"), te.login(1, "a")
		const watch = `{"userIds":["bob","alice","bob","nobody"]}`
		const answer = `{"code":200,"msg":"success","data":{"ttlMs":3600000,"users":[{"userId":"bob","status":2},` +
			`{"userId":"alice","status":1},{"userId":"nobody","status":2}]}}`
		for _, c := range []*testClient{alice, old} {
			c.write(wire.Watch, watch)
			c.want("the watch", wire.Watch, answer)
		}
		both := func(why, payload string) {
			t.Helper()
			for _, c := range []*testClient{alice, old} {
				c.want(why, wire.StatusNotify, payload)
				c.wantIdle(why)
			}
		}
		bob := te.login(3, "bob")
		alice.wantIdle("bob has just come")
		te.advance(delay)
		both("bob has come", `{"userId":"bob","status":1}`)

		pad := te.loginAs(1, chat.Device{App: app, User: "bob", Client: chat.Web, IMEI: "web"})
		te.advance(delay)
		alice.wantIdle("another of bob's devices")
		bob.write(wire.Status, `{"status":3,"customStatus":"at lunch"}`)
		pad.want("bob's other device", wire.StatusSync,
			`{"userId":"bob","status":3,"customStatus":"at lunch","appId":10001,"clientType":2,"imei":"phone"}`)
		bob.wantIdle("his own device")
		te.advance(delay)
		both("bob's status", `{"userId":"bob","status":3,"customStatus":"at lunch"}`)
		bob.write(wire.Status, `{"status":3,"customStatus":"at lunch"}`)
		pad.wantIdle("the same again")

		bob.write(wire.Logout, "")
		bob.wantClosed("logout")
		te.advance(delay)
		both("the device with the status has gone, another is there", `{"userId":"bob","status":1}`)
		pad.write(wire.Logout, "")
		pad.wantClosed("logout")
		te.advance(delay - 2*sweepInterval)
		bob = te.login(3, "bob")
		te.advance(2 * delay)
		alice.wantIdle("who comes back at once was never away")
		bob.write(wire.Logout, "")
		bob.wantClosed("logout")
		te.advance(delay)
		both("bob has gone", `{"userId":"bob","status":2}`)

		old.write(wire.Watch, `{"userIds":[]}`)
		old.want("the end of a watch", wire.Watch, `{"code":200,"msg":"success","data":{"ttlMs":3600000,"users":[]}}`)
		te.login(1, "bob")
		te.advance(delay)
		alice.want("bob is back", wire.StatusNotify, `{"userId":"bob","status":1}`)
		old.wantIdle("who watches no more")
		alice.write(wire.Logout, "")
		alice.wantClosed("logout")
		te.advance(delay)
		if p := te.presence; len(p.watches)+len(p.users)+len(p.due) != 0 {
			t.Errorf("after the last watch %d watches, %d users and %d waiting are left", len(p.watches), len(p.users), len(p.due))
		}
	})
}

func TestAWatchRunsOut(t *testing.T) {
	converse(t, Config{Auth: AuthOptional, PresenceDelay: -1}, func(te *testEdge) {
		alice := te.login(3, "alice")
		for ttl, want := range map[string]string{"5000": "5000", "3600001": "3600000"} {
			alice.write(wire.Watch, `{"userIds":["bob"],"ttlMs":`+ttl+`}`)
			alice.want("ttl "+ttl, wire.Watch, `{"code":200,"msg":"success","data":{"ttlMs":`+want+`,"users":[{"userId":"bob","status":2}]}}`)
		}
		alice.write(wire.Watch, `{"userIds":["bob"],"ttlMs":5000}`)
		if _, err := alice.read(); err != nil {
			t.Fatal(err)
		}
		bob := te.login(1, "bob")
		te.advance(sweepInterval)
		alice.want("within the time", wire.StatusNotify, `{"userId":"bob","status":1}`)
		te.advance(5 * time.Second)
		bob.write(wire.Logout, "")
		bob.wantClosed("logout")
		te.advance(2 * sweepInterval)
		alice.wantIdle("after the time")
	})
}

func TestSessionsOfADeadEdgeAreGone(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		delay := te.cfg.PresenceDelay + 2*sweepInterval
		route := chat.Route{Device: chat.Device{App: app, User: "bob", Client: chat.Mac, IMEI: "m"}, Edge: "edge-2", Session: 1, Epoch: 1}
		te.streams.change(route, false)
		alice := te.login(3, "alice")
		alice.write(wire.Watch, `{"userIds":["bob"]}`)
		alice.want("the watch", wire.Watch, `{"code":200,"msg":"success","data":{"ttlMs":3600000,"users":[{"userId":"bob","status":1}]}}`)
		te.streams.set(func(r *recorder) { r.dead["edge-2"] = true })
		te.advance(delay)
		alice.want("the edge is dead", wire.StatusNotify, `{"userId":"bob","status":2}`)
		te.streams.change(route, true) // somebody cleans up
		te.advance(delay)
		alice.wantIdle("what was dead is gone")
		route.Edge = "edge-3"
		te.streams.change(route, false)
		te.advance(delay)
		alice.want("he comes back elsewhere", wire.StatusNotify, `{"userId":"bob","status":1}`)
		// The routes are lost, and read anew: nobody tells what went.
		te.streams.set(func(r *recorder) { delete(r.routes, userOf(route.Device)) })
		te.RoutesRead()
		te.advance(returning - sweepInterval)
		alice.wantIdle("they may come back")
		te.advance(delay)
		alice.want("the routes were read anew", wire.StatusNotify, `{"userId":"bob","status":2}`)
	})
}

// TestRoutesComeBackOneByOne loses all routes: who is here again a few seconds later was never away, and who has come meanwhile is here.
func TestRoutesComeBackOneByOne(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		delay := te.cfg.PresenceDelay + 2*sweepInterval
		route := func(user chat.UserID) chat.Route {
			return chat.Route{Device: chat.Device{App: app, User: user, Client: chat.Mac, IMEI: "m"}, Edge: "edge-2", Session: 1, Epoch: 1}
		}
		te.streams.change(route("bob"), false)
		alice := te.login(3, "alice")
		alice.write(wire.Watch, `{"userIds":["bob","carol"]}`)
		alice.want("the watch", wire.Watch, `{"code":200,"msg":"success","data":{"ttlMs":3600000,"users":[{"userId":"bob","status":1},`+
			`{"userId":"carol","status":2}]}}`)
		te.streams.set(func(r *recorder) { delete(r.routes, chat.UserKey{App: app, User: "bob"}) })
		te.RoutesRead()
		te.streams.change(route("carol"), false)
		te.advance(delay)
		alice.want("who comes is here", wire.StatusNotify, `{"userId":"carol","status":1}`)
		te.streams.change(route("bob"), false)
		te.advance(returning + delay)
		alice.wantIdle("bob was never away")
	})
}

func TestABurstOfStatusesIsFewWrites(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		bob := te.login(3, "bob")
		other := te.loginAs(1, chat.Device{App: app, User: "bob", Client: chat.Web, IMEI: "web"})
		var written []string
		slow := make(chan struct{})
		te.streams.set(func(s *recorder) {
			s.putRoute = func(_ context.Context, r chat.Route) error {
				written = append(written, r.Custom) // by one goroutine at a time
				<-slow
				return nil
			}
		})
		for i := range fewAtOnce {
			bob.write(wire.Status, fmt.Sprintf(`{"status":1,"customStatus":"%d"}`, i))
			synctest.Wait() // the first is being written when the others come
		}
		close(slow)
		if f, err := other.read(); err != nil || f.Command != wire.StatusSync { // one of the first
			t.Fatalf("got %v %s, %v; want a status", f.Command, f.Body, err)
		}
		other.want("the newest", wire.StatusSync, `{"userId":"bob","status":1,"customStatus":"4","appId":10001,"clientType":2,"imei":"phone"}`)
		synctest.Wait()
		if len(written) != 2 || written[1] != "4" {
			t.Errorf("the route was written with %v; want twice, the second time with the newest", written)
		}
		for range 3 {
			bob.write(wire.Status, `{"status":1,"customStatus":"too often"}`)
		}
		other.wantIdle("what is too much")
		te.wantCounted("dropped_total", dropStatus, 3)
		te.advance(fewEvery)
		// A status that cannot be written is what the session says all the same, for the station to write it.
		te.streams.set(func(s *recorder) {
			s.putRoute = func(context.Context, chat.Route) error { return errors.New("no connection") }
		})
		bob.write(wire.Status, `{"status":5}`)
		synctest.Wait()
		for _, r := range te.Routes() {
			if r.Device == bob.device && (r.Status != 5 || r.Custom != "") {
				t.Errorf("the session's route is %+v; want status 5", r)
			}
		}
	})
}
