// Package api is the HTTP API that app servers speak: the original's paths, bodies and codes, and what it lacked.
//
// An endpoint is a row in a table (endpoint.go): its path, what it is for, who may call it, the codes that it may answer with, and a function from
// a request's type to an answer's. Both types are plain structs, whose tags say what is required and how long; the same tags check a body
// (shape.go) and describe it to people and tools (openapi.go). What all requests have in common happens once, around the table:
//
//	request ─▶ identity (who asks, and whether he may) ─▶ limits ─▶ body (decoded, checked) ─▶ the endpoint ─▶ envelope
//
// What is decided is decided in Postgres, in one transaction with the events that tell of it, or in the log: a message that is sent by HTTP takes
// the road of every other. This package keeps nothing but what it may forget.
package api
