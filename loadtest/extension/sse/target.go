package sse

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// target is where a client connects to.
type target struct {
	secure  bool
	address string
	host    string
	name    string
	path    string
}

// readTarget takes a URL apart; without a path it is that of the contract.
func readTarget(text string) (*target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("'%s' is not an http or https URL", text)
	}
	t := &target{secure: u.Scheme == "https", host: u.Host, name: u.Hostname(), path: u.EscapedPath()}
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[t.secure]
	}
	t.address = net.JoinHostPort(t.name, port)
	if t.path == "" || t.path == "/" {
		t.path = "/v1/events"
	}
	if u.RawQuery != "" {
		t.path += "?" + u.RawQuery
	}
	return t, nil
}

func (t *target) origin() string {
	if t.secure {
		return "https://" + t.host
	}
	return "http://" + t.host
}

// withQuery appends pieces that are encoded already.
func (t *target) withQuery(pieces ...string) string {
	path := t.path
	for _, piece := range pieces {
		if piece == "" {
			continue
		}
		if strings.Contains(path, "?") {
			path += "&" + piece
		} else {
			path += "?" + piece
		}
	}
	return path
}
