package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// oldest is the oldest major version that the server runs on.
const oldest = 14

// binaries is a folder that holds postgres and initdb.
type binaries struct {
	dir   string
	major int
}

func (b binaries) postgres() string { return filepath.Join(b.dir, "postgres") }
func (b binaries) initdb() string   { return filepath.Join(b.dir, "initdb") }

// ErrMissing is what Start returns when PostgreSQL is not installed; the error's text says how to install it.
var ErrMissing = errors.New("PostgreSQL is not installed")

// find returns the binaries for a cluster of that major version; 0: the first that will do. On PATH comes first, then Debian's and
// Homebrew's, newest first.
func find(ctx context.Context, dirs []string, major int) (binaries, error) {
	for _, dir := range dirs {
		b := binaries{dir: dir}
		if !executable(b.postgres()) || !executable(b.initdb()) {
			continue
		}
		var err error
		if b.major, err = version(ctx, b.postgres()); err != nil {
			return binaries{}, err
		}
		if b.major == major || major == 0 && b.major >= oldest {
			return b, nil
		}
	}
	if major != 0 {
		return binaries{}, fmt.Errorf("the cluster is of version %d: %w in that version; %s", major, ErrMissing, howToInstall(runtime.GOOS))
	}
	return binaries{}, fmt.Errorf("%w (version %d or newer); %s", ErrMissing, oldest, howToInstall(runtime.GOOS))
}

// searched returns the folders that may hold the binaries, the preferred one first.
func searched() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			panic("postgres: " + err.Error())
		}
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(number(b), number(a)) })
		dirs = append(dirs, found...)
	}
	return dirs
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// version asks postgres for its major version: "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func version(ctx context.Context, postgres string) (int, error) {
	out, err := exec.CommandContext(ctx, postgres, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %w", postgres, err)
	}
	_, rest, _ := strings.Cut(string(out), "(PostgreSQL) ")
	return number(rest), nil
}

// number returns the first number in s; 0 if there is none.
func number(s string) int {
	digit := func(r rune) bool { return '0' <= r && r <= '9' }
	start := strings.IndexFunc(s, digit)
	if start < 0 {
		return 0
	}
	s = s[start:]
	if end := strings.IndexFunc(s, func(r rune) bool { return !digit(r) }); end >= 0 {
		s = s[:end]
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// howToInstall returns a sentence with the one command that installs PostgreSQL.
func howToInstall(system string) string {
	sudo := ""
	if os.Geteuid() != 0 {
		sudo = "sudo "
	}
	if _, err := os.Stat("/etc/debian_version"); err == nil {
		return "install it with: " + sudo + "apt-get install -y postgresql"
	}
	if system == "darwin" {
		return "install it with: brew install postgresql@17"
	}
	return "install it with the system's package manager, so that postgres and initdb are on PATH"
}
