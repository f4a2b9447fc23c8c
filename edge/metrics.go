package edge

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// Why a frame was dropped without an answer, beside the codes of those that nobody is told of and the reasons for which connections end.
const (
	dropEnding  = "ending"          // the connection was ending
	dropWrite   = "write"           // the write failed
	dropText    = "ws_text"         // a WebSocket text message
	dropUnknown = "unknown_outcome" // nobody knows whether the request is in the ingress
	dropAbsent  = "absent"          // the session is not here any more
	dropServed  = "served"          // the partition's revision was delivered before
	dropResumed = "resumed"         // the login was told of the same record when it resumed
	dropTyping  = "typing"          // somebody types faster than anybody wants to know
	dropUntold  = "no_message"      // the client speaks protobuf, and no message of its holds the payload: one of two servers is newer
	dropStatus  = "status"          // a session says how it is more often than anybody wants to know
)

// metrics are what an edge counts.
type metrics struct {
	framesIn  counters[wire.Command]
	framesOut counters[wire.Command]
	refused   *prometheus.CounterVec
	dropped   *prometheus.CounterVec
	closed    *prometheus.CounterVec
	opened    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, sessions *table) *metrics {
	vec := func(name, help, label string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "whaleshark", Subsystem: "edge", Name: name, Help: help,
		}, []string{label})
		r.MustRegister(v)
		return v
	}
	gauge := func(name, help string, value func() int) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "whaleshark", Subsystem: "edge", Name: name, Help: help,
		}, func() float64 { return float64(value()) }))
	}
	gauge("connections", "Connections that are open.", func() int { n, _ := sessions.size(); return n })
	gauge("sessions", "Connections that are logged in.", func() int { _, n := sessions.size(); return n })
	commands := []wire.Command{
		wire.Send, wire.SendAck, wire.Receive, wire.GroupSend, wire.GroupSendAck,
		wire.Read, wire.ReadNotify, wire.ReadReceipt, wire.GroupRead, wire.GroupReadNotify, wire.GroupReadReceipt,
		wire.Recall, wire.RecallAck, wire.RecallNotify, wire.Typing, wire.Status, wire.StatusNotify, wire.StatusSync, wire.Watch,
		wire.JoinGroup, wire.AddedMember, wire.CreatedGroup, wire.ExitGroup, wire.UpdatedMember, wire.DeletedMember, wire.DestroyGroup, wire.TransferGroup,
		wire.MuteGroup, wire.SpeakMember, wire.GroupNews, wire.Changes, wire.History, wire.Pull,
		wire.FriendAdd, wire.FriendUpdate, wire.FriendDelete, wire.FriendRequest, wire.FriendRequestRead, wire.FriendRequestApprove,
		wire.FriendBlackAdd, wire.FriendBlackDelete, wire.FriendGroupAdd, wire.FriendGroupDelete, wire.FriendGroupMemberAdd,
		wire.FriendGroupMemberDelete, wire.FriendAllDelete, wire.UserModify,
		wire.Login, wire.LoginAck, wire.Kick, wire.Logout, wire.Refuse, wire.Ping,
	}
	return &metrics{
		framesIn:  newCounters(vec("frames_in_total", "Frames from clients, by command.", "command"), commands),
		framesOut: newCounters(vec("frames_out_total", "Frames written to clients, by command.", "command"), commands),
		refused:   vec("refused_total", "Frames that were answered with an error, by its code's name.", "code"),
		dropped:   vec("dropped_total", "Frames that were dropped without an answer, by reason.", "reason"),
		closed:    vec("closed_total", "Connections that ended, by reason.", "reason"),
		opened:    vec("opened_total", "Connections that were opened, by transport.", "transport"),
	}
}

func (m *metrics) in(c wire.Command) { m.framesIn.of(c).Inc() }

func (m *metrics) out(frames []frame) {
	for _, f := range frames {
		m.framesOut.of(f.command).Inc()
	}
}

func (m *metrics) refuse(c chat.Code) { m.refused.WithLabelValues(c.String()).Inc() }

func (m *metrics) drop(reason string, n int) {
	if n > 0 {
		m.dropped.WithLabelValues(reason).Add(float64(n))
	}
}

func (m *metrics) open(transport string) { m.opened.WithLabelValues(transport).Inc() }

func (m *metrics) close(reason string) { m.closed.WithLabelValues(reason).Inc() }

// counters has a counter ready for each label that is known, and one for all others: clients choose their commands, not our labels.
type counters[K comparable] struct {
	known map[K]prometheus.Counter
	other prometheus.Counter
}

func newCounters[K interface {
	comparable
	String() string
}](v *prometheus.CounterVec, labels []K) counters[K] {
	c := counters[K]{known: make(map[K]prometheus.Counter, len(labels)), other: v.WithLabelValues("other")}
	for _, l := range labels {
		c.known[l] = v.WithLabelValues(l.String())
	}
	return c
}

func (c *counters[K]) of(label K) prometheus.Counter {
	if counter, ok := c.known[label]; ok {
		return counter
	}
	return c.other
}
