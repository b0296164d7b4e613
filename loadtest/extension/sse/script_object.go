package sse

import (
	"fmt"
	"math"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/lib/types"
)

// fields reads an object of a script. The first fault is kept; a name that nobody asked for is one too.
type fields struct {
	runtime *sobek.Runtime
	where   string
	object  *sobek.Object
	asked   map[string]bool
	fault   error
}

func readFields(runtime *sobek.Runtime, where string, value sobek.Value) *fields {
	f := &fields{runtime: runtime, where: where, asked: map[string]bool{}}
	if isMissing(value) {
		f.object = runtime.NewObject()
	} else if object, ok := value.(*sobek.Object); ok {
		f.object = object
	} else {
		f.object = runtime.NewObject()
		f.fail("an object is expected")
	}
	return f
}

func isMissing(value sobek.Value) bool {
	return value == nil || sobek.IsUndefined(value) || sobek.IsNull(value)
}

func (f *fields) fail(format string, values ...any) {
	if f.fault == nil {
		f.fault = fmt.Errorf(f.where+": "+format, values...)
	}
}

// check returns the first fault.
func (f *fields) check() error {
	for _, key := range f.object.Keys() {
		if !f.asked[key] {
			f.fail("there is no option '%s'", key)
		}
	}
	return f.fault
}

// get returns nil when there is no such field.
func (f *fields) get(name string) sobek.Value {
	f.asked[name] = true
	if value := f.object.Get(name); !isMissing(value) {
		return value
	}
	return nil
}

func (f *fields) text(name, otherwise string) string {
	if value := f.get(name); value != nil {
		return value.String()
	}
	return otherwise
}

func (f *fields) flag(name string) bool {
	value := f.get(name)
	return value != nil && value.ToBoolean()
}

func (f *fields) number(name string, otherwise, least, most float64) float64 {
	value := f.get(name)
	if value == nil {
		return otherwise
	}
	number := value.ToFloat()
	if math.IsNaN(number) || number < least || number > most {
		f.fail("%s is a number from %v to %v, not %v", name, least, most, value)
		return otherwise
	}
	return number
}

func (f *fields) whole(name string, otherwise, least, most int) int {
	return int(f.number(name, float64(otherwise), float64(least), float64(most)))
}

// duration takes '30s' or milliseconds.
func (f *fields) duration(name string, otherwise time.Duration) time.Duration {
	value := f.get(name)
	if value == nil {
		return otherwise
	}
	duration, err := types.GetDurationValue(value.Export())
	if err != nil || duration < 0 {
		f.fail("%s is a duration such as '30s', not %v", name, value)
	}
	return duration
}

func (f *fields) texts(name string) []string {
	value := f.get(name)
	if value == nil {
		return nil
	}
	texts, err := textsOf(f.runtime, value)
	if err != nil {
		f.fail("%s: %v", name, err)
	}
	return texts
}

// textsOf takes a text, or a list of them.
func textsOf(runtime *sobek.Runtime, value sobek.Value) ([]string, error) {
	if text, ok := value.Export().(string); ok {
		return []string{text}, nil
	}
	var texts []string
	if err := runtime.ExportTo(value, &texts); err != nil {
		return nil, fmt.Errorf("a text or a list of texts is expected")
	}
	return texts, nil
}

func (f *fields) pairs(name string) (pairs [][2]string) {
	value := f.get(name)
	if value == nil {
		return nil
	}
	object, ok := value.(*sobek.Object)
	if !ok {
		f.fail("%s is an object", name)
		return nil
	}
	for _, key := range object.Keys() {
		pairs = append(pairs, [2]string{key, object.Get(key).String()})
	}
	return pairs
}

// each calls a function of the script with 0 … count-1, or returns false when the field is none.
func (f *fields) each(name string, count int, take func(sobek.Value) error) bool {
	value := f.get(name)
	if value == nil {
		return false
	}
	function, ok := sobek.AssertFunction(value)
	if !ok {
		return false
	}
	for i := range count {
		result, err := function(sobek.Undefined(), f.runtime.ToValue(i))
		if err == nil {
			err = take(result)
		}
		if err != nil {
			f.fail("%s(%d): %v", name, i, err)
			break
		}
	}
	return true
}
