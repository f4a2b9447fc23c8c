// Package wire is the protocol that clients speak: frames and bodies, as bytes. It does no I/O but through the readers it is given, knows no
// clock, and holds no state beyond a buffer. README.md, beside this file, shows the protocol in tables.
//
// A frame up (client to server) has a header of 28 bytes; a frame down (server to client) one of 8. Both are the same on TCP and in a
// binary WebSocket message, but the body down differs: TCP carries the payload alone, WebSocket an envelope that has the payload under
// "data". A payload is encoded once, by an Append function of this package, and spliced into the frames of all who get it: see
// [AppendDown] and [AppendEnvelope]. Within, a payload is JSON; for clients that speak protobuf it is translated at their socket, by what
// whaleshark.proto says: see [AppendProtoDown] and [UpFromProto].
//
// What a client did wrong comes back as a [chat.Error] with the code that it is answered with.
package wire
