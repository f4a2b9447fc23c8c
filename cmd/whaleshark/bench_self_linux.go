package main

import (
	"runtime"
	"syscall"
)

// ownGroup keeps a terminal's signals from a process, and lets it end with this one, even if that is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// run starts the server and waits for its end. The signal of ownGroup comes when the thread ends that has started a process: so this one stays.
func (s *self) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s.wait(started)
}
