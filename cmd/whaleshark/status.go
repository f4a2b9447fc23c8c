package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

type statusCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
	dataFlags
	natsFlags
}

func (statusCmd) Help() string {
	return `Prints who is there: every process with its role and its addresses, an edge with those that clients are told; and for each partition the newest revision of its log, and who owns
the partition in each role. BEHIND says how far an owner has still to go: the sequencer in positions of the ingress, which all partitions
share, so that requests of others count as well; the others in revisions. Owners tell how far they are twice a second, so a
small number that comes and goes under load is nothing.

It changes nothing, and fails where no edge and no worker has ever connected.

Examples:

    whaleshark status
    whaleshark status --nats nats://10.0.0.5 --json`
}

func (c statusCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	conn, err := openStreams(ctx, log, c.natsFlags, c.dataFlags)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	members, err := conn.WatchMembers(ctx)
	if err != nil {
		return err
	}
	s := status{Members: members.All()}
	for p := range chat.Partition(conn.Partitions()) {
		part, err := partitionStatus(ctx, conn, members, p)
		if err != nil {
			return err
		}
		s.Partitions = append(s.Partitions, part)
	}
	if c.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	return s.print(out, time.Now())
}

// openStreams connects to the broker once, to look and no more.
func openStreams(ctx context.Context, log *slog.Logger, f natsFlags, d dataFlags) (*streams.Conn, error) {
	url := f.url(d)
	err := inspect(ctx, brokerAt{url: func() string { return url }})
	if _, runs := whoRuns(d.Data); errors.Is(err, nats.ErrNoServers) && f.NATS == "" && !runs {
		return nil, fmt.Errorf("nothing runs on the data folder %s, and no --nats is given: %w", d.Data, err)
	}
	if err != nil {
		return nil, err
	}
	return streams.Connect(ctx, streams.Config{URL: url, Name: "whaleshark, a tool", LookOnly: true, Log: log})
}

// status is what the broker knows of everybody.
type status struct {
	Members    []streams.Member `json:"members"`
	Partitions []partition      `json:"partitions"`
}

// partition is a partition's newest revision, and who reads it.
type partition struct {
	Partition chat.Partition               `json:"partition"`
	Revision  chat.Revision                `json:"revision"`
	Full      bool                         `json:"full,omitempty"` // the log takes no more blocks
	Owners    map[streams.Role]chat.NodeID `json:"owners"`
	Behind    map[streams.Role]uint64      `json:"behind"` // in positions of the ingress for sequence, in revisions otherwise
}

var workerRoles = []streams.Role{streams.RoleSequence, streams.RoleFanout, streams.RolePersist, streams.RoleWebhook}

func partitionStatus(ctx context.Context, conn *streams.Conn, members *streams.Members, p chat.Partition) (partition, error) {
	tail, err := conn.Tail(ctx, p)
	if err != nil {
		return partition{}, err
	}
	unfolded, known, err := members.Unfolded(ctx, p)
	if err != nil {
		return partition{}, err
	}
	s := partition{
		Partition: p, Revision: tail, Full: members.Full(p), Owners: map[streams.Role]chat.NodeID{}, Behind: map[streams.Role]uint64{},
	}
	for _, role := range workerRoles {
		owner, ok := members.Owner(role, p)
		if !ok {
			continue
		}
		s.Owners[role] = owner
		switch {
		case role != streams.RoleSequence:
			s.Behind[role] = behind(members.Highest(role, p), uint64(tail))
		case known:
			s.Behind[role] = unfolded
		}
	}
	return s, nil
}

func behind(at, tail uint64) uint64 {
	if at >= tail {
		return 0
	}
	return tail - at
}

func (s status) print(out io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE\tNODE\tHOST\tPID\tUP\tSTATE\tADDRESSES")
	for _, m := range s.Members {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			m.Role, m.Node, m.Host, m.PID, now.Sub(time.UnixMilli(m.Started)).Round(time.Second), state(m), addresses(m))
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil { // the tables have columns of their own
		return err
	}
	fmt.Fprintln(w, "PARTITION\tREVISION\tSEQUENCE\tBEHIND\tFANOUT\tBEHIND\tPERSIST\tBEHIND\tWEBHOOK\tBEHIND")
	for _, p := range s.Partitions {
		fmt.Fprintf(w, "%s\t%s", p.Partition, p.revision())
		for _, role := range workerRoles {
			fmt.Fprintf(w, "\t%s\t%s", p.owner(role), p.lag(role))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// state tells whether a member takes part: a worker that has just come watches first, an edge that is about to stop takes no more clients.
func state(m streams.Member) string {
	switch {
	case m.Active:
		return "active"
	case m.Role == streams.RoleEdge:
		return "draining"
	}
	return "watching"
}

func addresses(m streams.Member) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m.Addrs)) {
		if m.Addrs[name] != "" {
			all = append(all, name+" "+m.Addrs[name])
		}
	}
	return strings.Join(all, ", ")
}

func (p partition) revision() string {
	if p.Full {
		return fmt.Sprintf("%d, full", p.Revision)
	}
	return fmt.Sprint(p.Revision)
}

func (p partition) owner(role streams.Role) string {
	if node, ok := p.Owners[role]; ok {
		return string(node)
	}
	return "nobody"
}

func (p partition) lag(role streams.Role) string {
	if n, ok := p.Behind[role]; ok {
		return fmt.Sprint(n)
	}
	return "?"
}
