package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/bench"
)

// takeover shows how long a partition's messages wait when its owner is killed. Another sequence worker is there and notices it; then it folds
// what the log has after Postgres's mark. No persist worker runs meanwhile, so the mark stays where it is: at the log's beginning.
var takeover = series{
	name:  "takeover",
	title: "The owner of the only partition is killed, and another worker takes over",
	x:     axis{title: "messages in the log since Postgres's mark", log: true},
	panels: []panel{
		{title: "seconds from the kill until …", curves: []figure{{"acked_s", "a new message is acknowledged"}, {"noticed_s", "the death is noticed"}}},
		{title: "seconds between the two, in which the log is folded", curves: []figure{{"folded_s", ""}}},
	},
	about: 2 * time.Minute,
	steps: func(l *lab) int { return len(logLengths(l)) * l.times },
	run:   runTakeover,
}

func logLengths(l *lab) []int {
	if l.short {
		return []int{1000, 5000}
	}
	return []int{1000, 10_000, 100_000, 500_000}
}

func runTakeover(ctx context.Context, l *lab) ([]point, error) {
	h, err := l.build(ctx)
	if err != nil {
		return nil, err
	}
	defer h.tearDown()
	if err := h.roles(ctx, map[string]int{"edge": 1, "sequence": 2, "fanout": 1}, "--partitions=1"); err != nil {
		return nil, err
	}
	var points []point
	said := 0
	for _, n := range logLengths(l) {
		// What was said to see who acknowledges it is a few messages, and not counted.
		if _, err := l.bench(ctx, h, "p2p", "--window", "32", "--messages", fmt.Sprint(n-said), "--duration", "30m", "--no-rows"); err != nil {
			return nil, err
		}
		said = n
		p, err := l.repeat("", float64(n), func() (values, error) { return h.takeOver(ctx) })
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, h.catchUp(ctx)
}

// takeOver kills the owner and waits until a new message is acknowledged. Then it starts another worker in the dead one's place.
func (h *house) takeOver(ctx context.Context) (values, error) {
	owner, edge, err := h.owner(ctx)
	if err != nil {
		return nil, err
	}
	killed := time.Now()
	h.kill(owner)
	if err := h.say(ctx, edge); err != nil {
		return nil, err
	}
	acked := time.Since(killed)
	noticed, err := h.noticed(killed)
	if err != nil {
		return nil, err
	}
	if _, err := h.role("sequence", "--partitions=1"); err != nil {
		return nil, err
	}
	v := values{"acked_s": acked.Seconds(), "noticed_s": noticed.Sub(killed).Seconds()}
	v["folded_s"] = v["acked_s"] - v["noticed_s"]
	return v, h.ready(ctx, map[string]int{"sequence": 2})
}

// owner returns the process that sequences the only partition, and where clients connect.
func (h *house) owner(ctx context.Context) (owner *process, edge string, err error) {
	err = h.until(ctx, func(s *status) error {
		for _, m := range s.Members {
			if m.Role == "edge" {
				edge = m.Addrs["tcp"]
			}
			if i := slices.IndexFunc(h.processes, func(p *process) bool { return p.cmd.Process.Pid == m.PID }); i >= 0 &&
				m.Role == "sequence" && m.Node == s.Partitions[0].Owners["sequence"] {
				owner = h.processes[i]
			}
		}
		if owner == nil || edge == "" {
			return errors.New("the partition has no owner, or there is no edge")
		}
		return s.missing(map[string]int{"sequence": 2})
	})
	return owner, edge, err
}

// say sends new messages until one is acknowledged. The program waits 10 s for an ack; what has had none by then may still be placed.
func (h *house) say(ctx context.Context, edge string) error {
	for began := time.Now(); ; {
		_, err := h.run(ctx, "send", "--as", "u1", "--server", "tcp://"+edge, "u2", "is anybody there?")
		if err == nil {
			return nil
		}
		if time.Since(began) > readyPatience {
			return fmt.Errorf("no message is acknowledged within %s: %w", readyPatience, err)
		}
		if err := bench.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// noticed returns when a sequence worker has taken the partition for its own, after a time.
func (h *house) noticed(after time.Time) (time.Time, error) {
	for _, p := range h.processes {
		if p.name != "sequence" {
			continue
		}
		b, err := os.ReadFile(p.log)
		if err != nil {
			return time.Time{}, err
		}
		if at, ok := sharedAfter(b, after); ok {
			return at, nil
		}
	}
	return time.Time{}, errors.New("no worker's log tells that it has taken the partition over")
}

// sharedAfter finds in a worker's log when it has got a share of the partitions, after a time.
func sharedAfter(log []byte, after time.Time) (time.Time, bool) {
	lines := bufio.NewScanner(bytes.NewReader(log))
	lines.Buffer(nil, len(log)+1)
	for lines.Scan() {
		var line struct {
			Time       time.Time `json:"time"`
			Message    string    `json:"msg"`
			Partitions []int     `json:"partitions"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "share changed" && len(line.Partitions) > 0 && line.Time.After(after) {
			return line.Time, true
		}
	}
	return time.Time{}, false
}

// catchUp lets a persist worker write all that has gathered, and then looks whether the server keeps its promises, rows and all.
func (h *house) catchUp(ctx context.Context) error {
	if _, err := h.role("persist", "--partitions=1"); err != nil {
		return err
	}
	h.lab.progress.say("takeover: the rows of all of it are written")
	if _, err := h.lab.bench(ctx, h, append([]string{"p2p", "--window", "32"}, h.lab.brief()...)...); err != nil {
		return fmt.Errorf("after all of it: %w", err)
	}
	return nil
}
