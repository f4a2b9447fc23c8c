package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Print writes the report for people.
func (r *Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	r.printTarget(w)
	for _, part := range []func(io.Writer){
		r.printTalk, r.printIdle, r.printLogin, r.printSync, r.printRaw, r.printRatios, r.printResources, r.printErrors,
	} {
		part(w)
	}
	fmt.Fprintf(w, "verdict\t%s\n", r.inWords())
	for _, f := range r.Examples {
		fmt.Fprintf(w, "  %s\t%s\n", f.Kind, f.What)
	}
	return w.Flush()
}

func (r *Report) printTarget(w io.Writer) {
	s, m := &r.Server, &r.Machine
	fmt.Fprintf(w, "server\t%s, %s; %d partitions; fsync: %s\n", strings.Join(s.Addresses, " "), s.Transport, s.Partitions, s.Fsync)
	var members []string
	for _, role := range slices.Sorted(maps.Keys(s.Members)) {
		members = append(members, fmt.Sprintf("%d %s", s.Members[role], role))
	}
	fmt.Fprintf(w, "members\t%s; NATS %s\n", strings.Join(members, ", "), strings.Join(s.Brokers, ", "))
	fmt.Fprintf(w, "machine\t%s/%s, %d CPUs %s, %d MiB, disk %s, kernel %s, %s\n",
		m.OS, m.Arch, m.CPUs, m.CPU, m.Memory>>20, m.Disk, m.Kernel, m.Go)
}

func (r *Report) inWords() string {
	if r.OK() {
		return "ok: " + r.kept()
	}
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		all = append(all, fmt.Sprintf("%d %s", r.Faults[kind], kind))
	}
	return "FAILED: " + strings.Join(all, ", ")
}

func (r *Report) kept() string {
	switch {
	case r.Talk != nil && r.Talk.NoRows:
		return "every acknowledged message was delivered, none twice, all in order"
	case r.Talk != nil:
		return "every acknowledged message was delivered, none twice, all in order, and is a row"
	case r.Idle != nil:
		return "all connections are there, and all pings were answered"
	case r.Login != nil:
		return "everybody is logged in"
	case r.Sync != nil:
		return "every answer told what has changed, and nothing else"
	}
	return "nothing was promised"
}

func (r *Report) printTalk(w io.Writer) {
	t := r.Talk
	if t == nil {
		return
	}
	fmt.Fprintf(w, "acked\t%.0f/s\t(%d in %.1f s)\n", t.AckedPS, t.Acked, t.Seconds)
	fmt.Fprintf(w, "delivered\t%.0f/s\t(%d)\n", t.DeliverPS, t.Delivered)
	printLatency(w, "ack", t.Ack)
	printLatency(w, "delivery", t.Delivery)
	if t.NoRows {
		fmt.Fprintf(w, "rows\tnobody has looked for them\n")
	} else {
		fmt.Fprintf(w, "rows\t%d, the last %.0f ms after the last delivery\n", t.Rows, t.RowsLag)
	}
	fmt.Fprintf(w, "receipts\t%d\n", t.Receipts)
	if t.Unanswered > 0 {
		fmt.Fprintf(w, "unanswered\t%d\n", t.Unanswered)
	}
	if t.Foreign > 0 {
		fmt.Fprintf(w, "of others\t%d\n", t.Foreign)
	}
}

func printLatency(w io.Writer, what string, p Percentiles) {
	fmt.Fprintf(w, "%s, ms\tp50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f\n", what, p.P50, p.P90, p.P99, p.P999, p.Max)
}

func (r *Report) printIdle(w io.Writer) {
	i := r.Idle
	if i == nil {
		return
	}
	fmt.Fprintf(w, "connections\t%d\n", i.Connections)
	fmt.Fprintf(w, "memory of each\t%.2f KiB resident, %.2f KiB with shared pages once; heap %.2f, stacks %.2f; %.2f goroutines\n",
		i.RSS/1024, i.PSS/1024, i.Heap/1024, i.Stack/1024, i.Goroutines)
	for _, name := range slices.Sorted(maps.Keys(i.Programs)) {
		fmt.Fprintf(w, "  %s\t%.2f KiB with shared pages once\n", name, i.Programs[name]/1024)
	}
	fmt.Fprintf(w, "CPU\tidle %.1f %% of a core; a ping %.1f µs (%d pongs)\n", i.IdleCPU, i.PingCPU, i.Pongs)
}

func (r *Report) printLogin(w io.Writer) {
	l := r.Login
	if l == nil {
		return
	}
	fmt.Fprintf(w, "logins\t%.0f/s\t(%d in %.1f s, %d failed)\n", l.PerS, l.LoggedIn, l.Seconds, l.Failed)
	printLatency(w, "login", l.Latency)
}

func (r *Report) printSync(w io.Writer) {
	s := r.Sync
	if s == nil {
		return
	}
	fmt.Fprintf(w, "sync\t%d of %d conversations changed, in %d pages; %.0f answers/s\n", s.Changed, s.Conversations, s.Pages, s.PerS)
	printLatency(w, "answer", s.Latency)
}

func (r *Report) printRaw(w io.Writer) {
	b := r.Raw
	if b == nil {
		return
	}
	fmt.Fprintf(w, "broker alone\t%.0f published/s, %.0f consumed/s; %.0f updates/s by %d writers of %d keys\n",
		b.PublishedPS, b.ConsumedPS, b.UpdatesPS, b.Writers, b.Keys)
	printLatency(w, "through it", b.Through)
	printLatency(w, "update", b.Update)
}

func (r *Report) printRatios(w io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(r.Ratios)) {
		fmt.Fprintf(w, "%s\t%.2f\n", strings.ReplaceAll(name, "_", " "), r.Ratios[name])
	}
}

func (r *Report) printResources(w io.Writer) {
	c := r.Resources
	if c == nil {
		fmt.Fprintf(w, "server CPU\tnot measured: its processes are on another machine, or this is not Linux\n")
		return
	}
	fmt.Fprintf(w, "server CPU\t%.2f s: %.3f s for 1,000 %s, %.0f for a second; the bench itself %.2f s\n",
		c.ServerCPU, c.PerThousand, c.Of, c.PerCPU, c.LoadCPU)
	for _, name := range slices.Sorted(maps.Keys(c.Server)) {
		u := c.Server[name]
		fmt.Fprintf(w, "  %s\t%.2f s in %d processes, %d MiB at most, %d MiB now", name, u.CPUSeconds, u.Processes, u.PeakRSS>>20, u.RSS>>20)
		if u.PSS > 0 {
			fmt.Fprintf(w, ", %d MiB with shared pages once", u.PSS>>20)
		}
		fmt.Fprintln(w)
	}
}

func (r *Report) printErrors(w io.Writer) {
	for _, what := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(w, "errors\t%d × %s\n", r.Errors[what], what)
	}
}
