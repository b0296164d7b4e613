package sse

import (
	"fmt"
	"strings"
	"time"

	"github.com/grafana/sobek"
)

// publisherOptions are what a publisher is made of; they are read from the script.
type publisherOptions struct {
	target  *target
	topics  []string
	kind    string // the events' type; empty: none
	fields  string // more JSON members of each event's data, without braces
	token   string
	headers [][2]string

	rate     float64 // events per second over all topics; 0: as fast as they are acknowledged
	count    int64   // events over all topics; 0: no limit
	duration time.Duration
	workers  int
	lines    int // most events per request
	timeout  time.Duration
}

// readPublisherOptions is for sse.publish.
func readPublisherOptions(runtime *sobek.Runtime, value sobek.Value) (*publisherOptions, map[string]string, error) {
	f := readFields(runtime, "sse.publish", value)
	o := &publisherOptions{kind: f.text("type", ""), token: f.text("token", ""), headers: f.pairs("headers")}
	target, err := readTarget(f.text("url", ""))
	if err != nil {
		f.fail("url: %v", err)
	}
	o.target = target
	if o.topics = f.texts("topics"); len(o.topics) == 0 {
		f.fail("topics are missing")
	}
	for _, topic := range o.topics {
		if isPattern(topic) || topic == "" {
			f.fail("'%s' is no topic to publish to", topic)
		}
	}
	o.rate = f.number("rate", 10, 0, 1e7)
	o.count = int64(f.number("count", 0, 0, 1e15))
	o.duration = f.duration("duration", 0)
	o.workers = f.whole("workers", 1, 1, 1000)
	o.lines = f.whole("lines", 100, 1, 1000)
	o.timeout = f.duration("timeout", 10*time.Second)
	if o.fields, err = membersOf(runtime, f.get("data"), f.whole("size", 100, 0, 1<<20)); err != nil {
		f.fail("data: %v", err)
	}
	tags := map[string]string{}
	for _, tag := range f.pairs("tags") {
		tags[tag[0]] = short(tag[1])
	}
	if len(tags) > mostTags {
		f.fail("at most %d tags", mostTags)
	}
	if err := f.check(); err != nil {
		return nil, nil, err
	}
	return o, tags, nil
}

// membersOf are the events' members beside `n` and `t`: those of an object, or padding.
func membersOf(runtime *sobek.Runtime, value sobek.Value, size int) (string, error) {
	if value == nil {
		return `"p":"` + strings.Repeat("x", size) + `"`, nil
	}
	object, ok := value.(*sobek.Object)
	if !ok {
		return "", fmt.Errorf("an object is expected")
	}
	if object.Get("n") != nil || object.Get("t") != nil {
		return "", fmt.Errorf("`n` and `t` are the publisher's own")
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(text), "{"), "}"), nil
}
