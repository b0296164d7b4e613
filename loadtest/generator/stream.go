package main

import "bytes"

// stream follows one event stream (WHATWG HTML, 9.2.6) over all its connections. Blocks are never put together: what
// matters of a line is taken when the line comes, and counts when the empty line comes.
type stream struct {
	response response
	// An unfinished line.
	line []byte
	// False until the first bytes of the body have been looked at for a byte order mark.
	bodyBegan bool
	mark      int
	// Blocks of this connection so far: the first is the server's greeting.
	blocks int

	// The block that is being read.
	n, t int64
	hasN bool
	// Where the number stood in the last event's data.
	numberAt int
	topic    int32
	control  control
	id       []byte
	hasID    bool

	// The position, as a client would send it in Last-Event-ID.
	lastID   []byte
	sequence int64
	retryMs  int64
}

type control uint8

const (
	noControl control = iota
	positionControl
	gapControl
	liveControl
	closingControl
	otherControl
	controlKinds
)

var controlNames = [controlKinds]string{"", "$position", "$gap", "$live", "$closing", "other"}

// observer is told what a stream has found.
type observer interface {
	event(s *stream, now int64)
	controlled(s *stream)
	disordered(s *stream)
	topicIndex(data []byte) int32
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// connected begins a new connection. The position and the retry time stay.
func (s *stream) connected() {
	s.response = response{rest: s.response.rest[:0]}
	s.line = s.line[:0]
	s.bodyBegan, s.mark, s.blocks = false, 0, 0
	s.clearBlock()
}

// feed takes the next bytes of the connection, received at `now` (nanoseconds since 1970).
func (s *stream) feed(data []byte, now int64, o observer) {
	for len(data) > 0 {
		var body []byte
		body, data = s.response.split(data)
		if len(body) > 0 && s.response.status == 200 {
			s.body(body, now, o)
		}
	}
}

func (s *stream) body(data []byte, now int64, o observer) {
	if !s.bodyBegan {
		data = s.skipMark(data, now, o)
	}
	// Looked for once in all that has come, and not in each line: nearly no server sends any.
	returns := bytes.IndexByte(data, '\r') >= 0
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			s.line = append(s.line, data...)
			return
		}
		if len(s.line) == 0 && !returns {
			s.field(data[:end], now, o)
		} else if len(s.line) == 0 {
			s.lines(data[:end], now, o)
		} else {
			s.line = append(s.line, data[:end]...)
			s.lines(s.line, now, o)
			s.line = s.line[:0]
			if cap(s.line) > 4096 {
				s.line = nil
			}
		}
		data = data[end+1:]
	}
}

// skipMark takes the byte order mark away that a stream may begin with.
func (s *stream) skipMark(data []byte, now int64, o observer) []byte {
	for len(data) > 0 && s.mark < len(byteOrderMark) && data[0] == byteOrderMark[s.mark] {
		s.mark++
		data = data[1:]
	}
	if len(data) == 0 && s.mark < len(byteOrderMark) {
		return nil
	}
	s.bodyBegan = true
	if s.mark > 0 && s.mark < len(byteOrderMark) {
		s.line = append(s.line, byteOrderMark[:s.mark]...)
	}
	return data
}

// lines takes what stands before a line feed: one line, or several where a carriage return alone ends some.
func (s *stream) lines(text []byte, now int64, o observer) {
	if length := len(text); length > 0 && text[length-1] == '\r' {
		text = text[:length-1]
	}
	for {
		end := bytes.IndexByte(text, '\r')
		if end < 0 {
			s.field(text, now, o)
			return
		}
		s.field(text[:end], now, o)
		text = text[end+1:]
	}
}

func (s *stream) field(line []byte, now int64, o observer) {
	if len(line) == 0 {
		s.dispatch(now, o)
		return
	}
	switch line[0] {
	case 'd':
		if bytes.HasPrefix(line, []byte("data:")) {
			s.data(line[5:], o)
		}
	case 'i':
		if bytes.HasPrefix(line, []byte("id:")) {
			if id := value(line[3:]); bytes.IndexByte(id, 0) < 0 {
				s.id, s.hasID = append(s.id[:0], id...), true
			}
		}
	case 'e':
		if bytes.HasPrefix(line, []byte("event:")) {
			s.control = controlOf(value(line[6:]))
		}
	case 'r':
		if bytes.HasPrefix(line, []byte("retry:")) {
			if ms, length := number(value(line[6:])); length > 0 {
				s.retryMs = ms
			}
		}
	}
}

// value takes away the one space that may stand after the colon.
func value(text []byte) []byte {
	if len(text) > 0 && text[0] == ' ' {
		return text[1:]
	}
	return text
}

func (s *stream) data(text []byte, o observer) {
	if s.hasN {
		return
	}
	// Mostly it stands where it stood in the event before, and looking there is much cheaper than a search.
	if at := s.numberAt; len(text) < at+4 || string(text[at:at+4]) != `"n":` {
		if at = bytes.Index(text, []byte(`"n":`)); at < 0 {
			return
		}
		s.numberAt = at
	}
	n, length := number(text[s.numberAt+4:])
	if length == 0 {
		return
	}
	s.n, s.hasN, s.t = n, true, 0
	rest := text[s.numberAt+4+length:]
	if len(rest) > 5 && string(rest[:5]) == `,"t":` {
		s.t, _ = number(rest[5:])
	} else if time := bytes.Index(text, []byte(`"t":`)); time >= 0 {
		s.t, _ = number(text[time+4:])
	}
	s.topic = o.topicIndex(text)
}

// topicName finds `"topic":"…"`; empty when it is not there.
func topicName(text []byte) []byte {
	at := bytes.Index(text, []byte(`"topic":"`))
	if at < 0 {
		return nil
	}
	name := text[at+9:]
	end := bytes.IndexByte(name, '"')
	if end < 0 {
		return nil
	}
	return name[:end]
}

// number reads the digits that text begins with, and how many there are.
func number(text []byte) (n int64, length int) {
	for length < len(text) && text[length]-'0' <= 9 {
		n = n*10 + int64(text[length]-'0')
		length++
	}
	return n, length
}

func controlOf(name []byte) control {
	if len(name) == 0 || name[0] != '$' {
		return noControl
	}
	for kind := positionControl; kind < otherControl; kind++ {
		if string(name) == controlNames[kind] {
			return kind
		}
	}
	return otherControl
}

func (s *stream) dispatch(now int64, o observer) {
	if s.hasID {
		s.moveTo(o)
	}
	s.blocks++
	if s.control != noControl {
		o.controlled(s)
	} else if s.hasN {
		o.event(s, now)
	}
	s.clearBlock()
}

// moveTo takes over the block's id. Ids only grow, but for `$gap`, which says that they do not, and the greeting.
func (s *stream) moveTo(o observer) {
	dash := bytes.LastIndexByte(s.id, '-')
	sequence, length := number(s.id[dash+1:])
	if dash > 0 && length > 0 && s.blocks > 0 && s.control != gapControl && len(s.lastID) > dash {
		grows := sequence > s.sequence || (s.control != noControl && sequence == s.sequence)
		if !grows || string(s.id[:dash+1]) != string(s.lastID[:dash+1]) {
			o.disordered(s)
		}
	}
	s.sequence = sequence
	s.lastID, s.id = s.id, s.lastID
}

func (s *stream) clearBlock() {
	s.hasN, s.hasID, s.control = false, false, noControl
}
