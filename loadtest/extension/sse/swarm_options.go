package sse

import (
	"crypto/tls"
	"net"
	"net/url"
	"strings"
	"time"
)

// swarmOptions are what a swarm is made of; options.go reads them from the script.
type swarmOptions struct {
	connections int
	// Client i takes entry i modulo the length.
	targets []*target
	sets    []*topicSet
	tokens  []string
	sources []net.IP

	tokenIn     string // "header", "query", "cookie"
	headers     [][2]string
	lastEventID string
	since       string

	rampPerSecond float64
	opening       int
	timeout       time.Duration
	policy        policy

	http2                bool
	streamsPerConnection int
	tls                  *tls.Config

	slowShare          float64
	slowBytesPerSecond int

	// Wants every event; for small tests.
	onEvent func(event)
}

// event is what a callback gets.
type event struct {
	connection     int
	id, kind, data string
	receivedMs     float64
	latencyMs      float64
}

func newTopicSet(topics []string) *topicSet {
	set := &topicSet{topics: topics, literal: true}
	query := make([]string, len(topics))
	for i, topic := range topics {
		query[i] = "topic=" + url.QueryEscape(topic)
		set.literal = set.literal && !isPattern(topic)
	}
	set.query = strings.Join(query, "&")
	return set
}

func (o *swarmOptions) target(index int) *target { return o.targets[index%len(o.targets)] }

func (o *swarmOptions) set(index int) *topicSet { return o.sets[index%len(o.sets)] }

func (o *swarmOptions) token(index int) string {
	if len(o.tokens) == 0 {
		return ""
	}
	return o.tokens[index%len(o.tokens)]
}

func (o *swarmOptions) source(index int) net.IP {
	if len(o.sources) == 0 {
		return nil
	}
	return o.sources[index%len(o.sources)]
}

// isSlow spreads the slow ones evenly, so that no group of neighbours is all slow.
func (o *swarmOptions) isSlow(index int) bool {
	return int(float64(index+1)*o.slowShare) > int(float64(index)*o.slowShare)
}

// path of client i's request.
func (o *swarmOptions) path(index int) string {
	pieces := []string{o.set(index).query}
	if o.since != "" {
		pieces = append(pieces, "since="+url.QueryEscape(o.since))
	}
	if token := o.token(index); token != "" && o.tokenIn == "query" {
		pieces = append(pieces, "access_token="+url.QueryEscape(token))
	}
	return o.target(index).withQuery(pieces...)
}

// header calls `add` for each header of client i's request but the position.
func (o *swarmOptions) header(index int, add func(name, value string)) {
	add("Accept", "text/event-stream")
	add("Cache-Control", "no-cache")
	cookie := ""
	for _, h := range o.headers {
		if strings.EqualFold(h[0], "cookie") {
			cookie = h[1]
		} else {
			add(h[0], h[1])
		}
	}
	if token := o.token(index); token != "" {
		switch o.tokenIn {
		case "header":
			add("Authorization", "Bearer "+token)
		case "cookie":
			if cookie != "" {
				cookie += "; "
			}
			cookie += "sse_token=" + token
		}
	}
	if cookie != "" {
		add("Cookie", cookie)
	}
}
