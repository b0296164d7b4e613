//go:build !unix

package sse

import "net"

func (c *client) readShared(conn net.Conn) error { return c.readOwn(conn, conn) }
