// Package e2e tests the whole house: every role, NATS and Postgres are processes of their own, clients are real sockets, and a kill is
// SIGKILL.
package e2e
