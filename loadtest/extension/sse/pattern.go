package sse

import "strings"

// covers tells whether a subscription's pattern (`*` one token, `>` the rest) takes in a topic.
func covers(pattern, topic string) bool {
	for {
		token, patternRest, patternMore := strings.Cut(pattern, ".")
		if token == ">" {
			return topic != ""
		}
		name, topicRest, topicMore := strings.Cut(topic, ".")
		if name == "" || token != "*" && token != name {
			return false
		}
		if patternMore != topicMore {
			return false
		}
		if !patternMore {
			return true
		}
		pattern, topic = patternRest, topicRest
	}
}

func isPattern(topic string) bool { return strings.ContainsAny(topic, "*>") }

// topicSet is what connections with equal topics share.
type topicSet struct {
	topics  []string
	query   string
	literal bool
}

func (s *topicSet) covers(topic string) bool {
	for _, pattern := range s.topics {
		if pattern == topic || covers(pattern, topic) {
			return true
		}
	}
	return false
}
