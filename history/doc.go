// Package history tells what was said: from Postgres up to the marks, and from the log after them.
//
// Every answer is a cut through all conversations at one revision. First the log's end is read, from the leader; then Postgres, in one
// transaction that reads the marks as well; then, of each partition whose mark is below the end, the log's blocks in between. So what was
// acknowledged before the request is in the answer, however far Postgres is behind, and nothing is in it twice.
//
// While Postgres keeps step the log costs one request an answer: it tells the end and how many blocks each partition has, and blocks that
// were read before are remembered (window.go).
package history
