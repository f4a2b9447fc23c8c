package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	serverUser = "postgres" // whom the server runs as when root starts it
	role       = "whaleshark"
	database   = "whaleshark"
	port       = "5432" // a part of the socket's name; nothing listens on it

	// maxSocketPath is the longest path of a socket, less its closing NUL: 104 bytes on macOS, 108 on Linux.
	maxSocketPath = 103
)

// elsewhere is where instances live whose own folder is out of the server's reach. Tests change it.
var elsewhere = "/var/lib/whaleshark"

// home is where an instance really lives, and as whom.
type home struct {
	dir     string
	sockets string
	as      *account // nil: as ourselves
}

// account is a user of the machine.
type account struct {
	uid, gid uint32
	groups   []uint32
}

// homeOf returns the home of the instance of a folder, which exists. The answer stays the same once the instance has been started.
func homeOf(dir string) (home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return home{}, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return home{}, err
	}
	h := home{dir: dir}
	if os.Geteuid() == 0 {
		if h.as, err = lookUp(serverUser); err != nil {
			return home{}, fmt.Errorf("root cannot run PostgreSQL, and there is no user %s to run it as: %w", serverUser, err)
		}
		if h.dir, err = withinReach(dir, h.as); err != nil {
			return home{}, err
		}
	}
	h.sockets = filepath.Join(h.dir, "run")
	if len(h.socket()) > maxSocketPath {
		h.sockets = filepath.Join("/tmp", "whaleshark-"+hash(h.dir))
	}
	return h, nil
}

// withinReach returns the folder, or the one elsewhere that stands for it. Where there is a cluster already, there it stays: a folder
// whose permissions have changed must not begin a second, empty one.
func withinReach(dir string, a *account) (string, error) {
	substitute := filepath.Join(elsewhere, hash(dir))
	if (home{dir: substitute}).exists() {
		return substitute, nil
	}
	if err := a.reaches(dir); err == nil {
		return dir, nil
	} else if (home{dir: dir}).exists() {
		return "", fmt.Errorf("the cluster's folder can no longer be reached: %w", err)
	}
	return substitute, nil
}

func (h home) data() string   { return filepath.Join(h.dir, "data") }
func (h home) lock() string   { return filepath.Join(h.dir, "lock") }
func (h home) log() string    { return filepath.Join(h.dir, "postgres.log") }
func (h home) pid() string    { return filepath.Join(h.data(), "postmaster.pid") }
func (h home) socket() string { return filepath.Join(h.sockets, ".s.PGSQL."+port) }

// exists reports whether there is a cluster.
func (h home) exists() bool { return h.major() != 0 }

// major returns the major version of the cluster; 0: there is none.
func (h home) major() int {
	b, err := os.ReadFile(filepath.Join(h.data(), "PG_VERSION"))
	if err != nil {
		return 0
	}
	return number(string(b))
}

// url names everything that the environment could say otherwise.
func (h home) url(database string) string {
	q := url.Values{"host": {h.sockets}, "port": {port}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(role), Path: "/" + database, RawQuery: q.Encode()}
	return u.String()
}

// mkdir makes a folder that belongs to the server's user and to nobody else. One that is there already must be such a folder.
func (h home) mkdir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil && h.as != nil {
		return os.Chown(dir, int(h.as.uid), int(h.as.gid))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner := uint32(os.Geteuid()) //nolint:gosec // a user id is never negative on these systems
	if h.as != nil {
		owner = h.as.uid
	}
	if !info.IsDir() || info.Mode().Perm() != 0o700 || info.Sys().(*syscall.Stat_t).Uid != owner {
		return fmt.Errorf("%s is not a folder of mode 0700 of user %d: remove it", dir, owner)
	}
	return nil
}

// attributes put a child into a process group of its own, as the server's user.
func (h home) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if h.as != nil {
		attr.Credential = &syscall.Credential{Uid: h.as.uid, Gid: h.as.gid, Groups: h.as.groups}
	}
	return attr
}

func lookUp(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	ids := make([]uint32, 0, len(groups)+2)
	for _, s := range append([]string{u.Uid, u.Gid}, groups...) {
		id, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint32(id))
	}
	return &account{uid: ids[0], gid: ids[1], groups: ids[2:]}, nil
}

// reaches returns nil if the account may enter the folder and every one above it.
func (a *account) reaches(dir string) error {
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if !a.mayEnter(info) {
			return fmt.Errorf("%s may not be entered by the user %s", dir, serverUser)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

func (a *account) mayEnter(info fs.FileInfo) bool {
	stat := info.Sys().(*syscall.Stat_t)
	if stat.Uid == a.uid {
		return info.Mode().Perm()&0o100 != 0
	}
	for _, g := range a.groups {
		if stat.Gid == g {
			return info.Mode().Perm()&0o010 != 0
		}
	}
	return info.Mode().Perm()&0o001 != 0
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// quoted writes a folder as an item of a list in a setting.
func quoted(dir string) string { return `"` + strings.ReplaceAll(dir, `"`, `""`) + `"` }
