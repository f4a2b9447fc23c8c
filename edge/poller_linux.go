package edge

import (
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/whaleshark-im/whaleshark/chat"
)

// poller knows when bytes come for a connection that nobody reads, all such connections in one descriptor. Each is watched until it is
// told of once.
type poller struct {
	file  *os.File
	epoll syscall.RawConn
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // the runtime waits for it, as it does for sockets
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	epoll, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &poller{file: file, epoll: epoll}, nil
}

// watch lets wait tell, once, that bytes have come on a socket, or that its other side is gone. It returns false if nobody can.
func (p *poller) watch(c net.Conn, id chat.SessionID) bool {
	s, ok := c.(syscall.Conn)
	if !ok || p == nil {
		return false
	}
	socket, err := s.SyscallConn()
	if err != nil {
		return false
	}
	event := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT,
		Fd:     int32(id),       //nolint:gosec // the halves of 64 bits that are ours
		Pad:    int32(id >> 32), //nolint:gosec // the same
	}
	watched := false
	_ = p.epoll.Control(func(epoll uintptr) { // unless one of the two is closed
		_ = socket.Control(func(fd uintptr) {
			err := syscall.EpollCtl(int(epoll), syscall.EPOLL_CTL_MOD, int(fd), &event)
			if errors.Is(err, syscall.ENOENT) {
				err = syscall.EpollCtl(int(epoll), syscall.EPOLL_CTL_ADD, int(fd), &event)
			}
			watched = err == nil
		})
	})
	return watched
}

// wait tells of sockets until the poller is closed.
func (p *poller) wait(came func(chat.SessionID)) {
	if p == nil {
		return
	}
	var events [256]syscall.EpollEvent
	_ = p.epoll.Read(func(epoll uintptr) bool { // ends with the poller
		for {
			n, err := syscall.EpollWait(int(epoll), events[:], 0)
			for i := range max(n, 0) {
				e := &events[i]
				came(chat.SessionID(uint32(e.Fd)) | chat.SessionID(e.Pad)<<32) //nolint:gosec // the halves of 64 bits
			}
			if n < len(events) && !errors.Is(err, syscall.EINTR) {
				return false
			}
		}
	})
}

func (p *poller) close() {
	if p != nil {
		_ = p.file.Close()
	}
}
