package shunt

import "reflect"

// Value is the value of a field, of a header or of an argument:
//
//	nil        absent, or AMQP's void
//	bool       boolean
//	int64      an integer of any type
//	uint64     an integer that only an unsigned type of 64 bits holds
//	float64    float, double
//	string     a long string; one that isn't UTF-8 is []byte
//	[]byte     byte array
//	Timestamp  timestamp
//	Decimal    decimal
//	[]Value    array
//	Table      field table
type Value = any

// Timestamp is in seconds since the Unix epoch.
type Timestamp int64

// Decimal is Digits divided by ten to the power of Scale.
type Decimal struct {
	Scale  uint8
	Digits int32
}

// Entry is a name with its value.
type Entry struct {
	Name  string
	Value Value
}

// Table is a field table, in the order in which it came.
type Table []Entry

// Get is the value of a name, nil where there is none.
func (table Table) Get(name string) Value {
	for _, entry := range table {
		if entry.Name == name {
			return entry.Value
		}
	}
	return nil
}

// Equal says whether two values are of one type and equal; tables are where their entries are, in
// their order.
func Equal(one, other Value) bool { return reflect.DeepEqual(one, other) }

// Argument reads an argument that may be missing: ok is false then. A value of another type is
// refused with a reason that names the argument. T is bool, int64, float64, string, []byte,
// Timestamp, Decimal, []Value or Table.
func Argument[T any](table Table, name string) (value T, ok bool, err error) {
	found := table.Get(name)
	if found == nil {
		return value, false, nil
	}
	if value, ok = found.(T); !ok {
		return value, false, Refusal(name + " is not " + expected(reflect.TypeFor[T]()))
	}
	return value, true, nil
}

// What a value has to be, with its article.
func expected(kind reflect.Type) string {
	switch kind {
	case reflect.TypeFor[bool]():
		return "a boolean"
	case reflect.TypeFor[int64]():
		return "an integer"
	case reflect.TypeFor[uint64]():
		return "an integer that is not negative"
	case reflect.TypeFor[float64]():
		return "a number"
	case reflect.TypeFor[string]():
		return "a string"
	case reflect.TypeFor[[]byte]():
		return "a byte array"
	case reflect.TypeFor[[]string]():
		return "an array of strings"
	case reflect.TypeFor[Timestamp]():
		return "a timestamp"
	case reflect.TypeFor[Decimal]():
		return "a decimal"
	case reflect.TypeFor[Table]():
		return "a table"
	}
	return "an array"
}
