package api

import (
	"net"
	"net/http"
	"strconv"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
)

func TestLogin(t *testing.T) {
	h := open(t, func(c *Config) { c.Auth = AuthRequired })
	var at struct {
		IP   string
		Port int
	}
	want := func(what, addr string) {
		t.Helper()
		if got := net.JoinHostPort(at.IP, strconv.Itoa(at.Port)); got != addr {
			t.Errorf("%s is sent to %s; want %s", what, got, addr)
		}
	}
	h.send(http.MethodPost, "/v1/user/login", `{"userId":"lld","appId":10001,"clientType":1}`, nil).want(chat.OK, &at)
	want("a browser", h.edge.WS)
	h.send(http.MethodPut, "/v1/user/login?appId=10001", `{"userId":"lld","clientType":3,"imei":"x"}`, nil).want(chat.OK, &at)
	want("a phone", h.edge.TCP)
	for _, model := range []chat.RouteModel{chat.RouteRandom, chat.RouteRoundRobin} {
		if err := h.store.SetApp(t.Context(), chat.App{ID: 7, Keys: []string{"k"}, RouteModel: model}); err != nil {
			t.Fatal(err)
		}
		h.directory.ForgetAll()
		h.send(http.MethodPost, "/v1/user/login?appId=7", `{"userId":"lld"}`, nil).want(chat.OK, &at)
		want("anybody", h.edge.TCP)
	}
	h.send(http.MethodPost, "/v1/user/login", `{"appId":10001}`, nil).want(chat.BadParameter).mentions("userId")
	h.send(http.MethodPost, "/v1/user/login", `{"userId":"lld","appId":10001,"clientType":9}`, nil).want(chat.BadParameter).mentions("clientType")
	h.send(http.MethodPost, "/v1/user/login", `{"userId":"lld","appId":999}`, nil).want(chat.AppMissing)
	h.stopEdge()
	h.eventually("no edge is there", func() bool {
		return h.send(http.MethodPost, "/v1/user/login", `{"userId":"lld","appId":10001}`, nil).Code == chat.NoEdge
	})
}
