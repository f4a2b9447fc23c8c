//go:build planted

package planted

import "os"

var fault = os.Getenv("WHALESHARK_PLANT")

// Is reports whether this build has a fault: the one that WHALESHARK_PLANT names.
func Is(name string) bool { return fault == name }
