// Package edge holds the clients' connections: it decodes their frames, knows who they are, hands requests on, and delivers what the
// fan-out pushes. It keeps nothing that is not gone with the connection.
//
//	client ──frame──▶ transport ──▶ session (the rule) ──▶ Streams.Submit, Streams.Signal
//	client ◀──frame── transport ◀── queue ◀── Edge.Deliver (pushes), session (answers)
//
// A connection is a struct (conn) with one goroutine that reads, and one that writes for as long as frames wait in its queue. What a frame
// leads to is decided by session, which is pure; what time alone leads to, by vitals, which is pure too and looked at by one sweeper
// for all connections. What differs between TCP and WebSocket is behind transport.
//
// A connection ends for the first reason that is given ([conn.end]): it takes no more frames, writes what waits and its last word, tells the
// other side that nothing more comes, and then reads on until that side is gone too or the sweeper cuts it: closing a socket with
// unread input would destroy the last word on its way.
package edge
