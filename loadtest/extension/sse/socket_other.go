//go:build !linux

package sse

func (c *client) control() controlFunc { return nil }
