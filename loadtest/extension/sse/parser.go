package sse

import "bytes"

// parser reads an event stream as WHATWG HTML 9.2.6 says, over all connections of one client.
//
// A block's data is a piece of the bytes that were fed whenever it came in one line and at once, so that nothing is
// copied for nearly all events.
type parser struct {
	// An unfinished line.
	line []byte
	// Bytes of the byte order mark seen so far; -1 when the stream has begun.
	mark int
	// A carriage return ended the last bytes: a line feed now belongs to it.
	skipFeed bool

	// The block that is being read.
	data       []byte
	kind, id   []byte
	stored     []byte
	dataStored bool
	hasData    bool
	hasID      bool

	// What a client keeps when its connection ends.
	lastID  []byte
	retryMs int64
}

// blocks is told of every block, also of those without data. The data are valid during the call only.
type blocks interface {
	block(p *parser)
}

const (
	// A longer line or block is a fault of the server, and no reason to run out of memory.
	longestLine = 64 << 20
	// Storage beyond this is given back when it is empty again: most connections are idle most of the time.
	keptStorage = 1 << 10
	longestWait = 24 * 3600 * 1000
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// connected begins a new connection: the position and the retry time stay, an unfinished block does not.
func (p *parser) connected() {
	p.line, p.mark, p.skipFeed = nil, 0, false
	p.clearBlock()
}

// feed takes the next bytes. It returns false when a line or the data of a block are too long to go on.
func (p *parser) feed(data []byte, to blocks) bool {
	if p.mark >= 0 {
		data = p.skipMark(data)
	}
	if p.skipFeed && len(data) > 0 {
		p.skipFeed = false
		if data[0] == '\n' {
			data = data[1:]
		}
	}
	// Looked for once in all that has come, and not in each line: nearly no server sends any.
	returns := bytes.IndexByte(data, '\r') >= 0
	for len(data) > 0 {
		var end int
		if returns {
			end = bytes.IndexAny(data, "\r\n")
		} else {
			end = bytes.IndexByte(data, '\n')
		}
		if end < 0 {
			p.line = append(p.line, data...)
			if len(p.line) > longestLine {
				return false
			}
			break
		}
		if len(p.line) == 0 {
			p.field(data[:end], true, to)
		} else {
			p.line = append(p.line, data[:end]...)
			p.field(p.line, false, to)
			p.line = emptied(p.line)
		}
		if data[end] == '\r' {
			if end+1 == len(data) {
				p.skipFeed = true
			} else if data[end+1] == '\n' {
				end++
			}
		}
		data = data[end+1:]
	}
	if p.hasData && !p.dataStored {
		p.storeData()
	}
	return len(p.stored) <= longestLine
}

// skipMark takes the byte order mark away that a stream may begin with.
func (p *parser) skipMark(data []byte) []byte {
	for len(data) > 0 && p.mark < len(byteOrderMark) && data[0] == byteOrderMark[p.mark] {
		p.mark++
		data = data[1:]
	}
	if len(data) == 0 && p.mark < len(byteOrderMark) {
		return nil
	}
	if p.mark > 0 && p.mark < len(byteOrderMark) {
		p.line = append(p.line, byteOrderMark[:p.mark]...)
	}
	p.mark = -1
	return data
}

// field takes one line. A lasting line stays valid until the end of feed.
func (p *parser) field(line []byte, lasting bool, to blocks) {
	if len(line) == 0 {
		p.dispatch(to)
		return
	}
	name, value, found := bytes.Cut(line, colon)
	if found && len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		p.addData(value, lasting)
	case "event":
		p.kind = append(p.kind[:0], value...)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			p.id = append(p.id[:0], value...)
			p.hasID = true
		}
	case "retry":
		if ms, length := number(value); length > 0 && length == len(value) {
			p.retryMs = min(ms, longestWait)
		}
	}
}

var colon = []byte{':'}

func (p *parser) addData(value []byte, lasting bool) {
	switch {
	case p.hasData:
		if !p.dataStored {
			p.storeData()
		}
		p.stored = append(append(p.stored, '\n'), value...)
		p.data = p.stored
	case lasting:
		p.data = value
	default:
		p.data = value
		p.storeData()
	}
	p.hasData = true
}

func (p *parser) storeData() {
	p.stored = append(p.stored[:0], p.data...)
	p.data, p.dataStored = p.stored, true
}

func (p *parser) dispatch(to blocks) {
	if p.hasID {
		p.lastID, p.id = p.id, p.lastID
	}
	if p.hasData || p.hasID {
		to.block(p)
	}
	p.clearBlock()
}

func (p *parser) clearBlock() {
	p.stored = emptied(p.stored)
	p.data, p.kind = nil, p.kind[:0]
	p.hasData, p.hasID, p.dataStored = false, false, false
}

func emptied(storage []byte) []byte {
	if cap(storage) > keptStorage {
		return nil
	}
	return storage[:0]
}

// number reads the digits that text begins with, and how many there are. What is too large stays at the largest.
func number(text []byte) (n int64, length int) {
	for length < len(text) && text[length]-'0' <= 9 {
		if n > (1<<63-10)/10 {
			n = (1<<63 - 10) / 10
		}
		n = n*10 + int64(text[length]-'0')
		length++
	}
	return n, length
}
