// Package bench puts a server under load, measures it, and checks while it measures that the server keeps its promises: every message that
// was acknowledged is delivered exactly once, in order, and is a row in Postgres. Whoever wants to know how fast a server is that
// loses messages gets no answer.
//
// It is a client like any other, with what a load needs and an app does not: connections that cost little ([conn]), for the load shares the
// machine with what it measures; a ledger of what each sender has said and ears for what each listener has heard (ledger.go, pure);
// histograms of latencies; and a look at what the server's processes use.
//
// [Target] is the server, [P2P], [Group], [Idle], [Login], [Sync] and [Raw] are the works, and a [Report] is what came out of one.
package bench
