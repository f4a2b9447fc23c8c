// Package store is everything that knows Postgres: rows go in and out as values of package chat.
//
// The log is the truth; the store is how far a fold over it has come ([Store.Apply], [Store.Mark]), and what was never in the log:
// apps, users and friendships. Each method takes a context and keeps to its deadline; none tries again by itself. What fails because Postgres
// is away, full or going away is told by [Unavailable]: the same call may succeed later. What a client may see is a [chat.Error].
package store
