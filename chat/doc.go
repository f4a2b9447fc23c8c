// Package chat holds the words and the rules of WhaleShark: pure, without I/O and without a clock.
//
// The words, each of which means one thing everywhere (Go, SQL, subjects, frames, docs):
//
//	frame         bytes on a client's wire
//	device        an (app, user, client type, imei): one installation of a client
//	session       one live connection of a device; an edge numbers its sessions
//	conversation  a pair of users, or a group
//	request       what a device asks of a conversation, not yet judged; it travels through the ingress
//	answer        what became of a request, for whoever waits for it in a process
//	message       a request to say something
//	record        what happened in a conversation: a message with its seq, a refusal, a read, a recall, a change of a group, a setting
//	roster        who is in a group and who was, with the places between which each may see its records
//	stay          the time of a user in a group: from the place of his joining to that of his leaving
//	setting       what a user sets of a conversation for himself alone: muted, at the top, deleted up to there
//	change        what Postgres has decided of a group: it is carried into the log by the outbox
//	event         what Postgres has decided beside the groups: devices, webhooks and caches hear of it
//	cursor        a place up to which a client has everything
//	call          what an app's webhook is told; each attempt at it names the same event
//	hook          the question to an app whether a message may be placed; its verdict allows, vetoes or replaces it
//	status        how a user is seen: offline, online, or what his client says
//	block         the records committed together, in one revision of the log's bucket
//	log           all blocks of a partition, in order
//	seq           a message's number in its conversation: 1, 2, 3, … without a gap
//	place         a record's position in the log; the "message key" of the wire
//	head          a conversation's newest seq
//	partition     the share of conversations whose token hashes to the same number
//	position      how far a partition has folded its ingress in
//	signal        something that passes and is never in the log: a receipt, the answer to a repeat, typing
//	route         which edge holds a session
//	node          one process that takes part: an edge or a worker
//	life          a memory stream between two losses of its content
//	mark          how far Postgres has a partition
//	vector        a revision (or a position) for each partition
//
// A message falls: a device's frame becomes a [Request] at the edge, a [Record] in a [Block] at the sequencer ([Sequencer] is the
// rule), a push at the fan-out, and a frame again at the edges of its recipients.
package chat
