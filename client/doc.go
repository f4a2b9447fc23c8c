// Package client is a client of the wire protocol, over TCP or WebSocket. A [Client] costs one goroutine, so that ten thousand of them fit
// into one process.
//
//	c, err := client.Dial(ctx, client.Config{URL: "tcp://127.0.0.1:9001", Device: alice, Receipts: true})
//	_, err = c.Login(ctx)
//	ack, err := c.Send(ctx, wire.Message{MessageID: "m1", To: "bob", Body: "hi"})
//
// What arrives is handed to the functions of [Handler], in order, by the goroutine that reads: one that blocks holds up everything behind it.
package client
