// Package migrations holds the database's schema as numbered steps. A step that has been released is never changed; a new step only
// adds, so that processes of the version before it go on working while it is rolled out.
package migrations

import "embed"

// FS holds the steps.
//
//go:embed *.sql
var FS embed.FS
