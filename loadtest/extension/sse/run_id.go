package sse

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// runPrefix makes ids and topics of this run differ from those of any other.
func runPrefix() string {
	now := uint64(time.Now().UnixNano())
	var bytes [8]byte
	binary.BigEndian.PutUint64(bytes[:], now)
	return strings.ToLower(fmt.Sprintf("%x", bytes[2:7]))
}
