package sse

import (
	"bytes"
	"time"
)

// envelope is what is checked of an event's data: `{"topic":…,"time":…,"data":{"n":…,"t":…}}`.
type envelope struct {
	topic []byte
	n     int64
	hasN  bool
	// When the event was made, nanoseconds since 1970; 0: not known.
	madeNs int64
}

// hints remember where things stood in the last event: looking there is much cheaper than a search.
type hints struct {
	numberAt int
	// Begin of the day of the last `time`, and its text.
	dayNs int64
	day   [10]byte
}

var (
	topicKey  = []byte(`"topic":"`)
	numberKey = []byte(`"n":`)
	madeKey   = []byte(`"t":`)
	timeKey   = []byte(`"time":"`)
)

func (h *hints) read(data []byte) (e envelope) {
	at := 1
	if len(data) < 10 || string(data[1:10]) != string(topicKey) {
		at = bytes.Index(data, topicKey)
	}
	if at >= 0 {
		name := data[at+len(topicKey):]
		if end := bytes.IndexByte(name, '"'); end >= 0 {
			e.topic = name[:end]
		}
	}
	rest := h.number(data, &e)
	if len(rest) > 5 && rest[0] == ',' && string(rest[1:5]) == string(madeKey) {
		e.madeNs, _ = number(rest[5:])
	} else if e.hasN {
		if at := bytes.Index(rest, madeKey); at >= 0 {
			e.madeNs, _ = number(rest[at+len(madeKey):])
		}
	}
	if e.madeNs == 0 {
		if at := bytes.Index(data, timeKey); at >= 0 {
			e.madeNs = h.time(data[at+len(timeKey):])
		}
	}
	return e
}

// number finds `"n":` and returns what stands behind the number.
func (h *hints) number(data []byte, e *envelope) []byte {
	at := h.numberAt
	if len(data) < at+5 || string(data[at:at+4]) != string(numberKey) {
		if at = bytes.Index(data, numberKey); at < 0 {
			return nil
		}
	}
	n, length := number(data[at+4:])
	if length == 0 {
		return nil
	}
	h.numberAt = at
	e.n, e.hasN = n, true
	return data[at+4+length:]
}

// time reads `2026-11-22T09:30:00.123Z`; 0 when it is not of that form.
func (h *hints) time(text []byte) int64 {
	if len(text) < 24 || text[23] != 'Z' || text[10] != 'T' || text[19] != '.' {
		return 0
	}
	if h.dayNs == 0 || string(h.day[:]) != string(text[:10]) {
		day, err := time.Parse(time.DateOnly, string(text[:10]))
		if err != nil {
			return 0
		}
		h.dayNs = day.UnixNano()
		copy(h.day[:], text)
	}
	hours, _ := number(text[11:13])
	minutes, _ := number(text[14:16])
	seconds, _ := number(text[17:19])
	ms, _ := number(text[20:23])
	return h.dayNs + ((hours*60+minutes)*60+seconds)*int64(time.Second) + ms*int64(time.Millisecond)
}
