package chat

import "fmt"

// LoginPolicy says which devices of one user may be logged in at once. The numbers are the original's loginModel.
type LoginPolicy int

// The policies. Zero is none: an app without one of its own follows the deployment.
const (
	OneDevice    LoginPolicy = 1
	TwoDevices   LoginPolicy = 2 // one, and any number of browsers beside it
	ThreeDevices LoginPolicy = 3 // a mobile and a desktop, and any number of browsers beside them
	ManyDevices  LoginPolicy = 4
)

// ParseLoginPolicy reads a policy's name.
func ParseLoginPolicy(s string) (LoginPolicy, error) {
	for p := OneDevice; p <= ManyDevices; p++ {
		if p.String() == s {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%q is no login policy; want single, double, triple or multi", s)
}

// String returns the policy's name.
func (p LoginPolicy) String() string {
	names := [...]string{"default", "single", "double", "triple", "multi"}
	if p < 0 || int(p) >= len(names) {
		return fmt.Sprintf("policy(%d)", int(p))
	}
	return names[p]
}

// Kicks reports whether a login of one device ends the session of another one of the same user. The same device is replaced, whatever the
// policy; that is not a kick.
func (p LoginPolicy) Kicks(newer, older Device) bool {
	if newer == older || newer.App != older.App || newer.User != older.User {
		return false
	}
	web := newer.Client == Web || older.Client == Web
	switch p {
	case OneDevice:
		return true
	case TwoDevices:
		return !web
	case ThreeDevices:
		return !web && (newer.Client.mobile() && older.Client.mobile() || newer.Client.desktop() && older.Client.desktop())
	default:
		return false
	}
}

func (c ClientType) mobile() bool  { return c == IOS || c == Android }
func (c ClientType) desktop() bool { return c == Windows || c == Mac }
