package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whaleshark-im/whaleshark/streams"
)

// system is the server's processes on this machine, with all their children: those of the members, the NATS server, Postgres. It is read from
// /proc; where there is none, nothing is measured.
type system struct {
	roots []int
	admin []string // addresses of the members' admin servers
}

// Usage is what processes of one name have used.
type Usage struct {
	Processes  int     `json:"processes"`
	CPUSeconds float64 `json:"cpu_s"`
	RSS        int64   `json:"rss_bytes"`
	PeakRSS    int64   `json:"peak_rss_bytes"`      // since each has started; shared pages count in each
	PSS        int64   `json:"pss_bytes,omitempty"` // shared pages count once; where it was asked for
}

// findSystem finds the processes. What runs elsewhere, or cannot be found, is left out.
func findSystem(ctx context.Context, t *Target, members []streams.Member) *system {
	s := &system{}
	if runtime.GOOS != "linux" {
		return s
	}
	host, _ := os.Hostname() // without a name nobody is of this machine
	add := func(pid int) {
		if pid > 1 && pid != os.Getpid() && !slices.Contains(s.roots, pid) {
			s.roots = append(s.roots, pid)
		}
	}
	for _, m := range members {
		if m.Host != host {
			continue
		}
		add(m.PID)
		if a := m.Addrs["admin"]; a != "" && !slices.Contains(s.admin, a) {
			s.admin = append(s.admin, a)
		}
	}
	add(listenerOf(ctx, t.NATS))
	if backend, err := t.Store.BackendPID(ctx); err == nil {
		all := processes()
		if all[backend].name == "postgres" && all[all[backend].parent].name == "postgres" {
			add(all[backend].parent)
		}
	}
	return s
}

// look returns what the processes have used so far, by name. Proportions are looked at only if asked for: that takes a while.
func (s *system) look(proportional bool) map[string]Usage {
	all := processes()
	used := make(map[string]Usage)
	for pid, p := range all {
		if !s.owns(pid, all) {
			continue
		}
		u := used[p.name]
		u.Processes++
		u.CPUSeconds += p.cpu.Seconds()
		status := procFile(pid, "status")
		u.RSS += kilobytes(status, "VmRSS:")
		u.PeakRSS += kilobytes(status, "VmHWM:")
		if proportional {
			u.PSS += kilobytes(procFile(pid, "smaps_rollup"), "Pss:")
		}
		used[p.name] = u
	}
	return used
}

// proportional adds to what was used how much memory it is when shared pages count once.
func (s *system) proportional(used map[string]Usage) map[string]Usage {
	for name, now := range s.look(true) {
		if u, ok := used[name]; ok {
			u.PSS = now.PSS
			used[name] = u
		}
	}
	return used
}

// cpu returns the CPU time of all of them so far.
func (s *system) cpu() time.Duration {
	all, sum := processes(), time.Duration(0)
	for pid, p := range all {
		if s.owns(pid, all) {
			sum += p.cpu
		}
	}
	return sum
}

// owns reports whether a process is one of the roots, or comes from one.
func (s *system) owns(pid int, all map[int]process) bool {
	for ; pid > 1; pid = all[pid].parent {
		if slices.Contains(s.roots, pid) {
			return true
		}
	}
	return false
}

// process is a line of the process table.
type process struct {
	name   string
	parent int
	cpu    time.Duration // its own, and that of children that have ended
}

const tick = time.Second / 100 // what /proc counts in

// processes reads the process table.
func processes() map[int]process {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	all := make(map[int]process, len(paths))
	for _, path := range paths {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if p, ok := parseStat(procFile(pid, "stat")); ok {
			all[pid] = p
		}
	}
	return all
}

// parseStat reads /proc/<pid>/stat. The name stands in brackets, and may hold some itself.
func parseStat(b []byte) (process, bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 15 {
		return process{}, false
	}
	n := func(i int) int { x, _ := strconv.Atoi(f[i]); return x }
	return process{name: string(b[open+1 : end]), parent: n(1), cpu: time.Duration(n(11)+n(12)+n(13)+n(14)) * tick}, true
}

// procFile reads what /proc says of a process; nothing, if it has ended.
func procFile(pid int, name string) []byte {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
	if err != nil {
		return nil
	}
	return b
}

// kilobytes returns the value of a line "Name:   123 kB", in bytes.
func kilobytes(b []byte, name string) int64 {
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// listenerOf returns the process of this machine that listens at a URL's port; 0: there is none that can be seen.
func listenerOf(ctx context.Context, where string) int {
	first, _, _ := strings.Cut(where, ",")
	u, err := url.Parse(first)
	if err != nil || !isLocal(ctx, u.Hostname()) {
		return 0
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return 0
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if inode := listening(table, port); inode != "" {
			return holderOf("socket:[" + inode + "]")
		}
	}
	return 0
}

func isLocal(ctx context.Context, host string) bool {
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	own, _ := net.InterfaceAddrs() // without them only the loopback is ours
	for _, a := range addrs {
		if a.IP.IsLoopback() {
			return true
		}
		for _, o := range own {
			if n, ok := o.(*net.IPNet); ok && n.IP.Equal(a.IP) {
				return true
			}
		}
	}
	return err == nil && host == ""
}

// listening returns the inode of the socket that listens at a port.
func listening(table string, port uint64) string {
	b, err := os.ReadFile(table)
	if err != nil {
		return ""
	}
	const state, inode = 3, 9
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) <= inode || f[state] != "0A" {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if p, err := strconv.ParseUint(hex, 16, 16); err == nil && p == port {
			return f[inode]
		}
	}
	return ""
}

// holderOf returns a process that has a file open.
func holderOf(file string) int {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well-formed
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == file {
			pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
			return pid
		}
	}
	return 0
}

// profile begins to write a CPU profile of the server's first process into a file, if one is named, for as long as the window. What it returns
// waits until it is there.
func (s *system) profile(ctx context.Context, file string, length time.Duration) (wait func() error) {
	if file == "" {
		return func() error { return nil }
	}
	if len(s.admin) == 0 {
		return func() error { return errors.New("profile the server: none of its processes is on this machine") }
	}
	done := make(chan error, 1)
	go func() { // ends with the profile
		url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.admin[0], max(1, int(length.Seconds())))
		b, err := fetch(ctx, url, length+fetchPatience)
		if err == nil {
			err = os.WriteFile(file, b, 0o644) //nolint:gosec // it is for whoever looks
		}
		done <- err
	}()
	return func() error {
		if err := <-done; err != nil {
			return fmt.Errorf("profile the server: %w", err)
		}
		return nil
	}
}
