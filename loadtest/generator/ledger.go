package main

// ledger checks the numbering of one topic on one connection, over all its reconnects.
type ledger struct {
	last    int64
	began   bool
	missing []span
}

// span is a run of numbers that were skipped.
type span struct{ first, last int64 }

// mostSpans bounds the memory of a stream that loses all the time; what is forgotten stays lost.
const mostSpans = 64

// faults are what a ledger finds wrong.
type faults struct {
	// Lost numbers were skipped and have not come since.
	Lost int64 `json:"lost"`
	// Duplicated numbers came again.
	Duplicated int64 `json:"duplicated"`
	// OutOfOrder numbers were skipped and came later.
	OutOfOrder int64 `json:"outOfOrder"`
}

func (l *ledger) take(n int64, f *faults) {
	switch {
	case !l.began || n == l.last+1:
		l.began, l.last = true, n
	case n > l.last:
		f.Lost += n - l.last - 1
		if len(l.missing) < mostSpans {
			l.missing = append(l.missing, span{l.last + 1, n - 1})
		}
		l.last = n
	case l.find(n):
		f.Lost--
		f.OutOfOrder++
	default:
		f.Duplicated++
	}
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
