package edge

import (
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// ending tells why a connection ends, and what the client hears last.
type ending struct {
	reason string    // one word for metrics and logs
	code   chat.Code // what the client is told; 0: nothing
	word   frame     // the last frame; command 0: a refusal of the connection to those who know such, and nothing to others
}

// The reasons for which a connection ends that have no code of their own.
const (
	reasonGone    = "gone"          // the client is
	reasonLogout  = "logout"        // the client asked for it
	reasonRefused = "refused_login" // with the code that the login was answered with
	reasonBroken  = "broken_frame"  // with the code that the frame was answered with
)

// because is the ending for a reason that clients know as a code.
func because(c chat.Code) ending { return ending{reason: c.String(), code: c} }

// lastWord returns the last frame for a client of the given protocol in the given phase; command 0: none.
func (e *ending) lastWord(protocol, phase int32) frame {
	switch {
	case e.word.command != 0 || e.code == 0:
		return e.word
	case phase == entering: // what ends the connection refuses the login
		return local(wire.LoginAck, wire.AppendWelcome(nil, &wire.Welcome{Code: e.code}))
	case protocol >= wire.Version3:
		return local(wire.Refuse, wire.AppendRefusal(nil, &wire.Refusal{Code: e.code}))
	}
	return frame{}
}
