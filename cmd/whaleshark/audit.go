package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/whaleshark-im/whaleshark/audit"
	"github.com/whaleshark-im/whaleshark/chat"
)

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Check the log against its promises, and Postgres against the log."`
	Replay auditReplayCmd `cmd:"" help:"Print what happened, from the log alone."`
	Copy   auditCopyCmd   `cmd:"" help:"Copy the log to another NATS server, without the bodies of some messages."`
}

type auditVerifyCmd struct {
	dataFlags
	natsFlags
	databaseFlags
}

func (auditVerifyCmd) Help() string {
	return `Walks the whole log: each block follows the one before it by its hash, bodies fit their digests, numbers in conversations have no gap, reads
move forward, who speaks in a group is in it, and the rows in Postgres are those of the log. It may be run at any time. If something is not so, it names partition, revision,
conversation and place of the first fault, and exits with 1.

Examples:

    whaleshark audit verify
    whaleshark audit verify --nats nats://10.0.0.5 --database postgres://im@10.0.0.6/im`
}

func (c auditVerifyCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	conn, err := openStreams(ctx, log, c.natsFlags, c.dataFlags)
	if err != nil {
		return err
	}
	defer conn.Close()
	rows, err := openStore(ctx, c.databaseFlags, c.dataFlags)
	if err != nil {
		return err
	}
	defer rows.Close()
	r, err := audit.Verify(ctx, conn, rows, revisions(out))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "all is as it must be: %d blocks, %d messages in %d conversations, %d refusals, %d reads, %d recalls, "+
		"%d changes of groups, %d settings; %d rows and %d stays compared, %d put aside; %s\n",
		r.Blocks, r.Messages, r.Conversations, r.Refusals, r.Reads, r.Recalls, r.Changes, r.Settings, r.Rows, r.Stays, r.Rejected, r.Took.Round(time.Millisecond))
	return err
}

// revisions is a progress bar for a walk through the log.
func revisions(out io.Writer) func(done, total chat.Revision) {
	bar := newProgress(out, "revisions")
	return func(done, total chat.Revision) { bar.show(int(done), int(total)) } //nolint:gosec // a revision is below 2^43
}

type auditReplayCmd struct {
	Conversation string    `xor:"of" placeholder:"C" help:"Of a conversation, such as 10001/p/alice/bob."`
	User         string    `xor:"of" placeholder:"U" help:"Of all that a user of the app took part in."`
	Since        time.Time `placeholder:"TIME" help:"Only what was committed since then, such as 2026-11-02T15:04:05Z."`
	JSON         bool      `name:"json" help:"Print a JSON object a line."`
	appFlags
	dataFlags
	natsFlags
}

func (auditReplayCmd) Help() string {
	return `Prints what happened in a conversation, or in all conversations of a user while he was in them, in the order of the log: messages,
reads, recalls, changes of groups, and what was refused. It asks nothing but the log, and needs no Postgres.

Examples:

    whaleshark audit replay --conversation 10001/p/alice/bob
    whaleshark audit replay --user alice --since 2026-11-02T15:04:05Z --json`
}

func (c auditReplayCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	query, err := c.query()
	if err != nil {
		return err
	}
	conn, err := openStreams(ctx, log, c.natsFlags, c.dataFlags)
	if err != nil {
		return err
	}
	defer conn.Close()
	show := func(e audit.Event) error {
		_, err := fmt.Fprintln(out, e)
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(out)
		show = func(e audit.Event) error { return enc.Encode(e) }
	}
	return audit.Replay(ctx, conn, query, nil, show)
}

func (c auditReplayCmd) query() (audit.Query, error) {
	q := audit.Query{Since: c.Since}
	switch {
	case c.Conversation != "":
		var err error
		q.Conversation, err = chat.ParseConversation(c.Conversation)
		return q, err
	case c.User != "":
		q.User = chat.UserKey{App: c.App, User: chat.UserID(c.User)}
		return q, nil
	}
	return q, errors.New("say of what: --conversation or --user")
}
