package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/whaleshark-im/whaleshark/audit"
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/broker"
)

type auditCopyCmd struct {
	To            string       `required:"" placeholder:"URL" help:"NATS server to copy to. It must hold no log, or an empty one."`
	EraseRecalled bool         `help:"Leave out the bodies of all messages that were recalled."`
	Erase         []chat.Place `placeholder:"PLACE" help:"Leave out the bodies of these messages; a place is what clients know as messageKey."`
	dataFlags
	natsFlags
}

func (auditCopyCmd) Help() string {
	return `The log keeps what was said for ever, and denies deletion; this is the way to erase bodies from it all the same. It copies the log to a
second NATS server: every block at its revision and with its hash, for the hashes are taken of the bodies' digests. Places, numbers and everything
that processes and Postgres remember of the log stay right.

Nothing may be appended while it runs, and until the copy has taken the log's place: stop every edge and every worker first. NATS keeps running, and so does Postgres, which verify compares the copy with.
If the log has grown meanwhile, the command fails, and the copy is worth nothing.

Give the second server the configuration of the first, with the same accounts, but with another port and an empty store_dir of its own. In a cluster
it has to keep as many replicas.

A recall has erased the body in Postgres already. What --erase names beyond that, Postgres still has: there body and extra of the message's row are
yours to set to NULL. To devices that read it again, a message without a body looks recalled.

Afterwards check the copy with whaleshark audit verify, stop both NATS servers, put the copy's store directory in the place of the log's, start NATS,
and then everything else. The old directory still holds the bodies, as backups of it do: delete them.

Examples:

    whaleshark nats --config copy.conf &
    whaleshark audit copy --to nats://127.0.0.1:4333 --erase-recalled
    whaleshark audit copy --to nats://127.0.0.1:4333 --erase 1734656,1734657
    whaleshark audit verify --nats nats://127.0.0.1:4333`
}

func (c auditCopyCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	conn, err := openStreams(ctx, log, c.natsFlags, c.dataFlags)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := inspect(ctx, brokerAt{url: func() string { return c.To }}); err != nil {
		return err
	}
	twin, err := conn.Twin(ctx, streams.Config{URL: c.To, Name: "whaleshark, copying"})
	if err != nil {
		return err
	}
	defer twin.Close()
	if sight, err := broker.Look(ctx, twin.NATS()); err == nil && sight.Warning() != "" {
		log.WarnContext(ctx, "the copy's server is not configured as a log's", "cause", sight.Warning())
	}
	what := audit.Erasure{Recalled: c.EraseRecalled, Places: c.Erase}
	copied, err := audit.Copy(ctx, conn, twin, what, revisions(out))
	if err != nil {
		return err
	}
	return c.tell(out, copied)
}

// tell says what was done, and what is to be done next.
func (c auditCopyCmd) tell(out io.Writer, r audit.Copied) error {
	_, err := fmt.Fprintf(out, `copied to %[1]s: revisions %[2]d to %[3]d, %[4]d blocks with %[5]d messages, %[6]d bytes; %[7]d bodies erased, %[8]d had been before; %[9]s

What to do next, while edges and workers stay stopped:
  1. whaleshark audit verify --nats %[1]s
  2. stop both NATS servers
  3. put the store directory of %[1]s in the place of the log's, and keep the old one until all is well
  4. start NATS, then workers and edges
  5. delete the old store directory and its backups: they still hold the bodies
`, c.To, r.First, r.Last, r.Blocks, r.Messages, r.Bytes, r.Erased, r.Bodiless, r.Took.Round(time.Millisecond))
	if err == nil && len(c.Erase) > 0 {
		_, err = fmt.Fprintln(out, "Those that --erase has named and nobody has recalled still have their bodies in Postgres.")
	}
	return err
}
