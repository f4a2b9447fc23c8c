//go:build !linux

package main

import "syscall"

// ownGroup keeps a terminal's signals from a process.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// run starts the server and waits for its end.
func (s *self) run(started chan<- error) { s.wait(started) }
