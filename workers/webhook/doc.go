// Package webhook is the worker that tells an app's own server what happens, and asks it before some of it may.
//
// What has happened it reads after the fact: records from the log, everything else from the stream of events. Nobody waits for it. The owner of
// a partition reads the log after a mark in Postgres and makes calls of what the apps want to know (records.go). Each has a first attempt at
// once, for as long as the batch may take; those that fail, or do not get their turn, are rows of webhook_call in the same transaction that
// moves the mark. So each call is made at least once, and its event id is the same each time. The owner of partition 0 reads the events
// likewise, and watches who comes and goes (online.go). Every process takes due rows and tries them again (retry.go).
//
// What may happen the sequencers and the API ask about, through the broker (ask.go).
//
// A receiver that is away costs little: after some failures its breaker (breaker.go) lets no call through for a while. One that is slow costs
// its own app alone: what does not fit into a batch's time waits in Postgres, and for a while the rest goes there at once (lane.go).
package webhook
