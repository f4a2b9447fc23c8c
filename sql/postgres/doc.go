// Package postgres runs a private PostgreSQL server as a child process, for development and tests: nothing to set up, nothing that another
// user of the machine can reach, nothing left behind.
//
// The server's files are in one folder: data (the cluster), run (its socket), lock (who runs it) and postgres.log. It listens on a
// Unix socket alone; who may open the socket's folder (its owner, mode 0700) may connect, without a password.
//
// PostgreSQL does not run as root. Started by root, the server runs as the user postgres; if that user cannot reach the folder,
// the files are in /var/lib/whaleshark/<hash of the folder's path> instead.
//
// The server is in a process group of its own, so that a Ctrl-C does not take the database from under processes that still write:
// whoever started it stops it. If that one was killed, the server runs on; the next [Start] on the folder takes the lock, which the
// dead process no longer holds, stops the orphan in order and starts anew. That is simpler than to adopt it, and sure: what runs is
// a child, of the settings and the binaries of today.
package postgres
