package shunt

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Every field of the contract but the headers, which are `headers` and `headers.NAME`.
var fieldNames = []string{
	"exchange", "routing_key", "routing_keys", "body_size", "user", "vhost", "headers",
	"content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to",
	"expiration", "message_id", "timestamp", "type", "user_id", "app_id",
}

// One field of a header struct.
type field struct {
	name string
	// Place in the struct.
	index int
	// The type of the value; of a pointer, what it points at.
	kind     reflect.Type
	optional bool
}

// The fields that a header struct declares, in its order. What the contract has not is a panic:
// the module fails at deploy, with the reason in the log.
func fieldsOf(header reflect.Type) []field {
	if header.Kind() != reflect.Struct {
		panic("shunt: a header is a struct of the fields that the route reads")
	}
	fields := make([]field, header.NumField())
	for place := range fields {
		member := header.Field(place)
		name := member.Tag.Get("field")
		if name == "" {
			name = snakeCase(member.Name)
		}
		if one, ok := strings.CutPrefix(name, "headers."); !slices.Contains(fieldNames, name) && (!ok || one == "") {
			panic("shunt: there is no field " + name)
		}
		kind := member.Type
		optional := kind.Kind() == reflect.Pointer
		if optional {
			kind = kind.Elem()
		}
		fields[place] = field{name, place, kind, optional}
	}
	return fields
}

func snakeCase(name string) string {
	var out strings.Builder
	for place, letter := range name {
		if unicode.IsUpper(letter) && place > 0 {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(letter))
	}
	return out.String()
}

var anyType = reflect.TypeFor[any]()

// Puts a value into its member.
func (field *field) set(header reflect.Value, value Value) error {
	member := header.Field(field.index)
	if value == nil {
		member.SetZero()
		if field.optional || field.kind == anyType {
			return nil
		}
		return Refusal(field.name + " is missing")
	}
	found, ok := convert(value, field.kind)
	if !ok {
		return Refusal(field.name + " is not " + expected(field.kind))
	}
	if field.optional {
		pointer := reflect.New(field.kind)
		pointer.Elem().Set(found)
		found = pointer
	}
	member.Set(found)
	return nil
}

func convert(value Value, kind reflect.Type) (reflect.Value, bool) {
	found := reflect.ValueOf(value)
	if found.Type() == kind || kind == anyType {
		return found, true
	}
	switch kind.Kind() {
	case reflect.Uint64, reflect.Uint32, reflect.Uint8:
		number, ok := value.(int64)
		out := reflect.New(kind).Elem()
		if !ok || number < 0 || out.OverflowUint(uint64(number)) {
			return found, false
		}
		out.SetUint(uint64(number))
		return out, true
	case reflect.Float64:
		if number, ok := value.(int64); ok {
			return reflect.ValueOf(float64(number)), true
		}
	case reflect.Slice:
		values, ok := value.([]Value)
		if !ok || kind.Elem().Kind() != reflect.String {
			return found, false
		}
		texts := make([]string, len(values))
		for place, value := range values {
			if texts[place], ok = value.(string); !ok {
				return found, false
			}
		}
		return reflect.ValueOf(texts), true
	}
	return found, false
}
