package streams

import (
	"context"
	"os"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Announce keeps a node known that owns no partitions, until ctx ends; then it signs off.
func (c *Conn) Announce(ctx context.Context, role Role, node chat.NodeID, addrs map[string]string) error {
	host, _ := os.Hostname()
	m := &Member{
		Role: role, Node: node, PID: os.Getpid(), Host: host, Addrs: addrs, Started: time.Now().UnixMilli(), Active: true,
	}
	tick := time.NewTicker(memberRefresh)
	defer tick.Stop()
	for {
		if err := c.putMember(ctx, m); err != nil && ctx.Err() == nil {
			c.log.DebugContext(ctx, "cannot announce", "role", role, "cause", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if c.Connected() {
				_ = c.dropMember(leaving, role, node) // it expires otherwise
			}
			return ctx.Err()
		}
	}
}
