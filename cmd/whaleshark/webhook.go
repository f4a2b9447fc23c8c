package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

type webhookCmd struct {
	List  webhookListCmd  `cmd:"" help:"Print calls that webhooks have not heard."`
	Retry webhookRetryCmd `cmd:"" help:"Try such calls now."`
}

// callsAtOnce is how many calls are read in a page.
const callsAtOnce = 1000

type webhookListCmd struct {
	Dead bool       `xor:"which" help:"Those that are tried no more, instead of those that are."`
	All  bool       `xor:"which" help:"Both."`
	App  chat.AppID `placeholder:"ID" help:"Those of one app."`
	JSON bool       `name:"json" help:"Print JSON, one object a line."`
	dataFlags
	databaseFlags
}

func (webhookListCmd) Help() string {
	return `Prints the calls of webhooks that have not succeeded, the oldest first: when each is tried next, or that it is dead, and why it has
failed. A call is tried 10 times within about a day; then it is dead, and forgotten after 30 days.

Examples:

    whaleshark webhook list
    whaleshark webhook list --dead --app 10001
    whaleshark webhook list --all --json`
}

func (c webhookListCmd) Run(ctx context.Context, out io.Writer) error {
	s, err := openStore(ctx, c.databaseFlags, c.dataFlags)
	if err != nil {
		return err
	}
	defer s.Close()
	row, flush := c.table(out)
	if c.JSON {
		row, flush = json.NewEncoder(out).Encode, func() error { return nil }
	}
	filter := store.CallFilter{App: c.App, Dead: c.Dead || c.All, Waiting: !c.Dead, Limit: callsAtOnce}
	for {
		calls, err := s.WaitingCalls(ctx, filter)
		if err != nil {
			return err
		}
		for i := range calls {
			if err := row(listed(&calls[i])); err != nil {
				return err
			}
		}
		if len(calls) < callsAtOnce {
			return flush()
		}
		filter.After = calls[len(calls)-1].ID
	}
}

// listedCall is a call as it is printed.
type listedCall struct {
	ID       int64      `json:"id"`
	App      chat.AppID `json:"app"`
	Command  string     `json:"command"`
	Event    string     `json:"event"`
	Attempts int        `json:"attempts"`
	Dead     bool       `json:"dead"`
	Since    time.Time  `json:"since"`
	Next     *time.Time `json:"next,omitempty"` // nil: it is dead
	Cause    string     `json:"cause,omitempty"`
}

func listed(c *chat.WaitingCall) any {
	l := listedCall{
		ID: c.ID, App: c.App, Command: c.Command, Event: c.Event, Attempts: c.Attempts, Dead: c.Dead, Since: c.Since, Cause: c.Cause,
	}
	if !c.Dead {
		l.Next = &c.Next
	}
	return l
}

// table prints calls in columns. It says so when there are none.
func (webhookListCmd) table(out io.Writer) (row func(any) error, flush func() error) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	rows := 0
	row = func(x any) error {
		if rows++; rows == 1 {
			fmt.Fprintln(w, "ID\tAPP\tCOMMAND\tEVENT\tATTEMPTS\tNEXT\tCAUSE")
		}
		c, next := x.(listedCall), "dead"
		if c.Next != nil {
			next = c.Next.Local().Format(time.DateTime)
		}
		_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\t%s\n", c.ID, c.App, c.Command, c.Event, c.Attempts, next, c.Cause)
		return err
	}
	return row, func() error {
		if rows == 0 {
			fmt.Fprintln(w, "there is none")
		}
		return w.Flush()
	}
}

type webhookRetryCmd struct {
	IDs []int64    `arg:"" optional:"" name:"id" help:"Ids of calls, as list prints them."`
	All bool       `help:"All dead calls."`
	App chat.AppID `placeholder:"ID" help:"With --all: those of one app."`
	dataFlags
	databaseFlags
}

func (webhookRetryCmd) Help() string {
	return `Lets calls of webhooks be tried now, and then as often as new ones. A worker does it: whaleshark worker webhook.

Examples:

    whaleshark webhook retry 4711 4712
    whaleshark webhook retry --all
    whaleshark webhook retry --all --app 10001`
}

func (c webhookRetryCmd) Run(ctx context.Context, out io.Writer) error {
	if c.All == (len(c.IDs) > 0) {
		return errors.New("give the ids of calls, or --all")
	}
	s, err := openStore(ctx, c.databaseFlags, c.dataFlags)
	if err != nil {
		return err
	}
	defer s.Close()
	var n int64
	if c.All {
		n, err = s.RetryDeadCalls(ctx, c.App)
	} else {
		n, err = s.RetryCalls(ctx, c.IDs)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d calls are tried now\n", n)
	return err
}
