package sse

// ledger checks the numbering of one topic on one client, over all its connections.
type ledger struct {
	topic string
	last  int64
	// The last number that was given out when the client began to listen; -1: not known. A later one must come.
	floor   int64
	began   bool
	excused bool
	missing []span
}

// span is a run of numbers that were skipped.
type span struct{ first, last int64 }

// mostSpans bounds the memory of a client that loses all the time; what is forgotten stays lost.
const mostSpans = 64

// faults are what a ledger finds wrong.
type faults struct {
	// lost numbers were skipped and have not come since.
	lost int64
	// duplicated numbers came again.
	duplicated int64
	// outOfOrder numbers were skipped and came later.
	outOfOrder int64
	// announced numbers were skipped behind a `$gap`: the stream has said so.
	announced int64
}

func newLedger(topic string, floor int64) *ledger {
	return &ledger{topic: topic, floor: floor}
}

// excuse lets the next number be any: the stream has told of a gap.
func (l *ledger) excuse() { l.excused = true }

func (l *ledger) take(n int64, f *faults) {
	switch {
	case l.began && n == l.last+1:
		l.last, l.excused = n, false
	case !l.began:
		if l.floor >= 0 && n > l.floor+1 {
			l.skip(l.floor+1, n-1, f)
		}
		l.began, l.excused, l.last = true, false, n
	case n > l.last:
		l.skip(l.last+1, n-1, f)
		l.last, l.excused = n, false
	case l.find(n):
		f.lost--
		f.outOfOrder++
	default:
		f.duplicated++
	}
}

func (l *ledger) skip(first, last int64, f *faults) {
	if l.excused {
		f.announced += last - first + 1
		return
	}
	f.lost += last - first + 1
	if len(l.missing) < mostSpans {
		l.missing = append(l.missing, span{first, last})
	}
}

// behind tells how many numbers up to `count` have not come.
func (l *ledger) behind(count int64) int64 {
	have := l.last
	if !l.began {
		if l.floor < 0 {
			return 0
		}
		have = l.floor
	}
	return max(0, count-have)
}

// find tells whether n is missing, and ends that.
func (l *ledger) find(n int64) bool {
	for i, s := range l.missing {
		if n < s.first || n > s.last {
			continue
		}
		l.missing = append(l.missing[:i], l.missing[i+1:]...)
		if s.first < n {
			l.missing = append(l.missing, span{s.first, n - 1})
		}
		if n < s.last {
			l.missing = append(l.missing, span{n + 1, s.last})
		}
		return true
	}
	return false
}
