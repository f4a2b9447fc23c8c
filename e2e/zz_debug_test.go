package e2e

import (
	"fmt"
	"os"
	"strings"
)

func (h *house) cpu() string {
	var out []string
	for _, p := range h.processes {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		out = append(out, fmt.Sprintf("%s=%s+%s", p.name, f[11], f[12]))
	}
	b, _ := os.ReadFile("/proc/self/stat")
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	out = append(out, fmt.Sprintf("test=%s+%s", f[11], f[12]))
	l, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(out, " ") + " load " + string(l)
}
