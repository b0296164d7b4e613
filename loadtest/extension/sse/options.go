package sse

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/grafana/sobek"
)

// scriptOptions are what a script says of a swarm beyond its connections.
type scriptOptions struct {
	swarmOptions
	name        string
	sampleEvery uint64
	tags        map[string]string
	callback    sobek.Callable
}

const (
	mostConnections  = 1_000_000
	exactConnections = 50 // up to so many connections every latency becomes a k6 sample
	mostTags         = 8
)

func readSwarmOptions(runtime *sobek.Runtime, value sobek.Value, base *tls.Config) (*scriptOptions, error) {
	f := readFields(runtime, "sse.open", value)
	o := &scriptOptions{}
	o.connections = f.whole("connections", 1, 1, mostConnections)
	f.readTargets(o)
	f.readTopics(o)
	f.readTokens(o)
	o.headers = f.pairs("headers")
	if cookies := f.pairs("cookies"); len(cookies) > 0 {
		var parts []string
		for _, c := range cookies {
			parts = append(parts, c[0]+"="+c[1])
		}
		o.headers = append(o.headers, [2]string{"Cookie", strings.Join(parts, "; ")})
	}
	o.lastEventID, o.since = f.text("lastEventId", ""), f.text("since", "")
	o.rampPerSecond = f.number("rampPerSecond", 0, 0, 1e6)
	o.opening = f.whole("opening", 500, 1, mostConnections)
	o.timeout = f.duration("timeout", 30*time.Second)
	f.readReconnect(o)
	o.sources = f.addresses("sourceAddresses")
	o.http2 = f.flag("http2")
	o.streamsPerConnection = f.whole("streamsPerConnection", 100, 1, 100_000)
	o.tls = f.readTLS(base)
	f.readSlow(o)
	o.sampleEvery = uint64(f.whole("sampleEvery", max(1, o.connections/exactConnections), 1, 1_000_000_000))
	f.readTags(o)
	if value := f.get("onEvent"); value != nil {
		call, ok := sobek.AssertFunction(value)
		if !ok {
			f.fail("onEvent is a function")
		}
		o.callback = call
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	for _, h := range o.headers {
		if strings.ContainsAny(h[0]+h[1], "\r\n") {
			return nil, fmt.Errorf("sse.open: a header or cookie has a line break")
		}
	}
	return o, nil
}

func (f *fields) readTargets(o *scriptOptions) {
	urls := f.texts("url")
	if len(urls) == 0 {
		f.fail("url is missing")
	}
	for _, text := range urls {
		target, err := readTarget(text)
		if err != nil {
			f.fail("url: %v", err)
			return
		}
		o.targets = append(o.targets, target)
	}
}

// readTopics shares a set between all clients that want the same.
func (f *fields) readTopics(o *scriptOptions) {
	known := map[string]*topicSet{}
	add := func(topics []string) {
		key := strings.Join(topics, " ")
		if known[key] == nil {
			known[key] = newTopicSet(topics)
		}
		o.sets = append(o.sets, known[key])
	}
	byIndex := f.each("topics", o.connections, func(value sobek.Value) error {
		topics, err := textsOf(f.runtime, value)
		add(topics)
		return err
	})
	if !byIndex {
		add(f.texts("topics"))
		o.name = strings.Join(o.sets[0].topics, ",")
	}
	o.name = f.text("name", o.name)
	if o.name == "" {
		o.name = "various"
	}
}

func (f *fields) readTokens(o *scriptOptions) {
	byIndex := f.each("token", o.connections, func(value sobek.Value) error {
		o.tokens = append(o.tokens, value.String())
		return nil
	})
	if !byIndex {
		o.tokens = append(f.texts("token"), f.texts("tokens")...)
	}
	for _, token := range o.tokens {
		if strings.ContainsAny(token, "\r\n") {
			f.fail("a token has a line break")
		}
	}
	o.tokenIn = f.text("tokenIn", "header")
	if o.tokenIn != "header" && o.tokenIn != "cookie" && o.tokenIn != "query" {
		f.fail("tokenIn is 'header', 'cookie' or 'query', not '%s'", o.tokenIn)
	}
}

func (f *fields) readReconnect(o *scriptOptions) {
	o.policy = defaultPolicy()
	value := f.get("reconnect")
	if value == nil {
		return
	}
	if text, ok := value.Export().(string); ok {
		o.policy.kind = text
	} else {
		r := readFields(f.runtime, "reconnect", value)
		o.policy.kind = r.text("policy", o.policy.kind)
		o.policy.retryMs = r.duration("retry", time.Duration(o.policy.retryMs)*time.Millisecond).Milliseconds()
		o.policy.maxMs = r.duration("maxBackoff", time.Duration(o.policy.maxMs)*time.Millisecond).Milliseconds()
		o.policy.jitter = r.number("jitter", 0, 0, 1)
		o.policy.attempts = r.whole("attempts", 0, 0, 1_000_000)
		if err := r.check(); err != nil {
			f.fail("%v", err)
		}
	}
	if err := o.policy.check(); err != nil {
		f.fail("%v", err)
	}
}

func (f *fields) readSlow(o *scriptOptions) {
	value := f.get("slow")
	if value == nil {
		return
	}
	s := readFields(f.runtime, "slow", value)
	o.slowShare = s.number("share", 1, 0, 1)
	o.slowBytesPerSecond = s.whole("bytesPerSecond", 0, 0, 1_000_000_000)
	if err := s.check(); err != nil {
		f.fail("%v", err)
	}
}

func (f *fields) readTags(o *scriptOptions) {
	o.tags = map[string]string{"pattern": short(o.name)}
	for _, tag := range f.pairs("tags") {
		o.tags[tag[0]] = short(tag[1])
	}
	if len(o.tags) > mostTags+1 {
		f.fail("at most %d tags", mostTags)
	}
}

func short(text string) string { return text[:min(len(text), 64)] }
