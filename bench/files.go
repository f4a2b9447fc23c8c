package bench

import (
	"fmt"
	"syscall"
)

// filesBeside is how many files a process has open beside its connections, generously.
const filesBeside = 64

// NeedFiles makes sure that this process may have so many connections. It raises the soft limit as far as the hard one lets it.
func NeedFiles(connections int) error {
	need := uint64(connections) + filesBeside //nolint:gosec // not negative
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("look how many files may be open: %w", err)
	}
	if limit.Cur >= need {
		return nil
	}
	if limit.Max < need {
		return fmt.Errorf("%d connections need %d open files, and no more than %d are allowed here: let root raise the hard limit "+
			"(`ulimit -Hn %d`, or nofile in /etc/security/limits.conf, or LimitNOFILE= of a systemd unit), here and for the server, or ask for less",
			connections, need, limit.Max, need)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise how many files may be open to %d (`ulimit -n %d` before the bench does the same): %w", limit.Max, need, err)
	}
	return nil
}
