package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// reasonOf puts why a connection failed before its answer into one of a few words, so that it can be a tag.
func reasonOf(err error) string {
	var name *net.DNSError
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case errors.As(err, &name):
		return "name"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "descriptors"
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE):
		return "ports"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.Canceled):
		return "timeout"
	case strings.HasPrefix(err.Error(), "tls:"):
		return "tls"
	case errors.Is(err, errBroken):
		return "not-http"
	}
	return "other"
}

// refusalOf names an answer that is no event stream.
func refusalOf(status int) string {
	if status == 200 {
		return "content-type"
	}
	return fmt.Sprintf("status-%d", status)
}
