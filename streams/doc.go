// Package streams is everything that knows NATS: subjects, streams and buckets, the ingress, the log, routes, members.
// What comes out of it are the values of package chat.
//
//	in.<partition>.<conversation>   stream INGRESS, memory   edges put requests in, the partition's sequencer reads them
//	in.<partition>.several          the same, of a busy process: requests of several conversations in one entry
//	$KV.LOG.<partition>             bucket LOG, file         a revision is a block; sequencers append, fan-out and persist read
//	push.<edge>                     stream PUSH, memory      the fan-out hands frames to an edge
//	event.<app>.<aggregate>         stream EVENTS, file      what Postgres has decided, for devices, webhooks and caches
//	$KV.ROUTE.<app>.<user>.<edge>.<session>  bucket ROUTE, memory    which edge holds a session
//	$KV.MEMBERS.<role>.<node>       bucket MEMBERS, memory   who is there, until 3 s after the last word of it
//	signal.<partition>              no stream                what passes: receipts, answers to repeats
//
// A memory stream loses its content with its broker. Each therefore carries its life in a reserved entry; [Conn.Run] gives a role a
// [Generation] of all lives, and starts it anew when one of them ends.
package streams
