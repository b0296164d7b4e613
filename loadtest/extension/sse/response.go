package sse

import (
	"bytes"
	"strconv"
	"strings"
)

// response takes an HTTP/1.1 response apart as its bytes come, however they are cut, and hands on the body.
type response struct {
	phase     phase
	status    int
	remaining int64 // bytes of the chunk, or of a body of known length; -1: until the connection ends
	digits    int   // of the chunk size so far
	rest      []byte

	isStream   bool  // the content type is right
	retryAfter int64 // seconds; 0: none
}

type phase uint8

const (
	inHead phase = iota
	inChunkSize
	inChunkExtension
	inChunkData
	inChunkEnd
	inTrailer
	inBody
	ended
	broken
)

const longestHead = 32 << 10

// split consumes bytes from data until there is a piece of the body, and returns that and what is left after it.
func (r *response) split(data []byte) (body, left []byte) {
	for len(data) > 0 {
		switch r.phase {
		case inHead:
			data = r.head(data)
		case inChunkSize, inChunkExtension, inChunkEnd, inTrailer:
			data = r.chunkLine(data)
		case inChunkData, inBody:
			if r.remaining < 0 || int64(len(data)) < r.remaining {
				if r.remaining >= 0 {
					r.remaining -= int64(len(data))
				}
				return data, nil
			}
			body, left = data[:r.remaining], data[r.remaining:]
			r.remaining = 0
			if r.phase == inBody {
				r.phase = ended
			} else {
				r.phase = inChunkEnd
			}
			return body, left
		default:
			return nil, nil
		}
	}
	return nil, nil
}

// head collects the response's head, which is short and comes once, so copying it is no cost.
func (r *response) head(data []byte) []byte {
	searched := max(0, len(r.rest)-3)
	before := len(r.rest)
	r.rest = append(r.rest, data...)
	end := bytes.Index(r.rest[searched:], []byte("\r\n\r\n"))
	if end < 0 {
		if len(r.rest) > longestHead {
			r.phase = broken
		}
		return nil
	}
	end += searched
	r.readHead(r.rest[:end])
	r.rest = nil
	return data[end+4-before:]
}

func (r *response) readHead(head []byte) {
	lines := bytes.Split(head, []byte("\r\n"))
	r.phase, r.remaining = inBody, -1
	if len(lines[0]) < 12 || !bytes.HasPrefix(lines[0], []byte("HTTP/1.")) {
		r.phase = broken
		return
	}
	r.status, _ = strconv.Atoi(string(lines[0][9:12]))
	if r.status >= 100 && r.status < 200 {
		r.phase = inHead // an interim answer, such as 103: the one that counts follows
		return
	}
	for _, line := range lines[1:] {
		name, value, _ := bytes.Cut(line, colon)
		value = bytes.ToLower(bytes.TrimSpace(value))
		switch string(bytes.ToLower(name)) {
		case "content-type":
			r.isStream = isEventStream(string(value))
		case "retry-after":
			r.retryAfter, _ = number(value)
		case "transfer-encoding":
			if bytes.HasSuffix(value, []byte("chunked")) {
				r.phase, r.digits = inChunkSize, 0
			}
		case "content-length":
			if length, err := strconv.ParseInt(string(value), 10, 64); err == nil && length >= 0 {
				r.remaining = length
			}
		}
	}
	if r.phase == inChunkSize {
		r.remaining = 0
	} else if r.remaining == 0 || r.status == 204 {
		r.phase = ended
	}
}

func isEventStream(contentType string) bool {
	essence, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(essence), "text/event-stream")
}

// chunkLine reads what stands between the data of chunks: a size, the line break after the data, trailers.
func (r *response) chunkLine(data []byte) []byte {
	c := data[0]
	switch r.phase {
	case inChunkSize:
		if digit := hexDigit(c); digit >= 0 {
			r.digits++
			r.remaining = r.remaining<<4 | int64(digit)
			if r.digits > 15 {
				r.phase = broken
			}
		} else if c == '\n' {
			r.sizeEnds()
		} else {
			r.phase = inChunkExtension
		}
	case inChunkExtension:
		if c == '\n' {
			r.sizeEnds()
		}
	case inChunkEnd:
		if c == '\n' {
			r.phase, r.remaining, r.digits = inChunkSize, 0, 0
		} else if c != '\r' {
			r.phase = broken
		}
	case inTrailer:
		// An empty line ends the body; `digits` counts the characters of this one.
		if c == '\n' && r.digits == 0 {
			r.phase = ended
		} else if c == '\n' {
			r.digits = 0
		} else if c != '\r' {
			r.digits++
		}
	}
	return data[1:]
}

func (r *response) sizeEnds() {
	switch {
	case r.digits == 0:
		r.phase = broken
	case r.remaining == 0:
		r.phase, r.digits = inTrailer, 0
	default:
		r.phase = inChunkData
	}
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|32 >= 'a' && c|32 <= 'f':
		return int(c|32-'a') + 10
	}
	return -1
}
