package sequence

import (
	"context"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// hooksAtOnce is how many messages of a partition are with their apps at a time; the others wait for their turn.
const hooksAtOnce = 256

// hookAnswer is what an app has said of a message.
type hookAnswer struct {
	key     chat.HookKey
	verdict chat.HookVerdict
	took    time.Duration
}

// askApps asks apps about messages that wait for them.
func (o *owner) askApps(ctx context.Context) {
	for _, h := range o.rule.Hooks(hooksAtOnce - o.hooking) {
		o.hooking++
		o.wg.Go(func() {
			limited, cancel := context.WithTimeout(ctx, streams.BeforePatience)
			defer cancel()
			asked := time.Now()
			verdict, err := o.cfg.Conn.AskBefore(limited, h.Request)
			if err != nil {
				o.log.DebugContext(ctx, "an app has not answered", "conversation", h.Request.Conversation, "cause", err)
			}
			o.verdicts <- hookAnswer{h.Key, verdict, time.Since(asked)} // has room for all
		})
	}
}

// hear takes a verdict, and those that are there as well.
func (o *owner) hear(a hookAnswer) {
	for {
		o.hooking--
		o.cfg.Metrics.hooked(&a)
		o.rule.HookAnswered(a.key, a.verdict)
		select {
		case a = <-o.verdicts:
		default:
			return
		}
	}
}
