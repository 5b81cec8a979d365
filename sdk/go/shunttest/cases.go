package shunttest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
)

// Cases runs a cases.json, or a file of sdk/conformance, against a route; made makes a new one.
func Cases(t *testing.T, path string, made func() *shunt.Instance) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	file, ok := decode(t, decoder).(shunt.Table)
	if !ok {
		t.Fatal(path, "is no object")
	}
	exchanges, several := file.Get("exchanges").([]shunt.Value)
	if !several {
		exchanges = []shunt.Value{file}
	}
	for _, exchange := range exchanges {
		check(t, exchange.(shunt.Table), several, made())
	}
	for _, refused := range list(file.Get("refused_exchanges")) {
		_, err := Declare(made(), arguments(refused.Get("arguments")))
		refusal(t, refused, refused.Get("reason_contains"), err)
	}
}

func check(t *testing.T, exchange shunt.Table, several bool, instance *shunt.Instance) {
	t.Helper()
	given := exchange.Get("exchange")
	if several {
		given = exchange.Get("arguments")
	}
	declared, err := Declare(instance, arguments(given))
	if err != nil {
		t.Fatal(exchange.Get("name"), err)
	}
	bind := func(bindings shunt.Value) {
		values, _ := bindings.([]shunt.Value)
		for _, binding := range values {
			if err := bindOne(declared, binding); err != nil {
				t.Fatal(binding, err)
			}
		}
	}
	bind(exchange.Get("bindings"))
	for _, refused := range list(exchange.Get("refused_bindings")) {
		refusal(t, refused, refused.Get("reason_contains"), bindOne(declared, refused.Get("binding")))
	}
	for _, one := range list(exchange.Get("cases")) {
		if more := one.Get("bind"); more != nil {
			bind(more)
			continue
		}
		names, err := declared.Route(header(one.Get("header")))
		if failure, ok := one.Get("failure").(shunt.Table); ok {
			// What only the host refuses is no failure here.
			if cause := failure.Get("cause"); cause == "refused" || err != nil {
				refusal(t, one, failure.Get("reason_contains"), err)
			}
			continue
		}
		var expected []string
		for _, queue := range one.Get("queues").([]shunt.Value) {
			expected = append(expected, queue.(string))
		}
		slices.Sort(names)
		slices.Sort(expected)
		if err != nil || !slices.Equal(names, expected) {
			t.Errorf("%v: %v: %v %v, not %v", exchange.Get("name"), one.Get("name"), names, err, expected)
		}
	}
}

func bindOne(declared *Declared, binding shunt.Value) error {
	parts := binding.([]shunt.Value)
	kind := shunt.Kind(parts[0].(string))
	return declared.bind(kind, parts[1].(string), parts[2].(string), arguments(parts[3]))
}

func refusal(t *testing.T, one shunt.Table, part shunt.Value, err error) {
	t.Helper()
	text, _ := part.(string)
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%v: %v does not contain %q", one.Get("name"), err, text)
	}
}

func list(value shunt.Value) []shunt.Table {
	values, _ := value.([]shunt.Value)
	tables := make([]shunt.Table, len(values))
	for place, value := range values {
		tables[place] = value.(shunt.Table)
	}
	return tables
}

func arguments(value shunt.Value) shunt.Table {
	table, _ := value.(shunt.Table)
	if table == nil {
		table = shunt.Table{}
	}
	return table
}

func header(value shunt.Value) Header {
	header := Header{}
	table, _ := value.(shunt.Table)
	for _, entry := range table {
		parts, _ := entry.Value.(shunt.Table)
		switch entry.Name {
		case "headers":
			for _, one := range parts {
				header["headers."+one.Name] = one.Value
			}
		case "properties":
			for _, one := range parts {
				header[one.Name] = one.Value
				if seconds, ok := one.Value.(int64); ok && one.Name == "timestamp" {
					header[one.Name] = shunt.Timestamp(seconds)
				}
			}
		default:
			header[entry.Name] = entry.Value
		}
	}
	return header
}

// JSON with objects in their order.
func decode(t *testing.T, decoder *json.Decoder) shunt.Value {
	token, err := decoder.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch token := token.(type) {
	case json.Number:
		if number, err := token.Int64(); err == nil {
			return number
		}
		number, _ := token.Float64()
		return number
	case json.Delim:
		if token == '[' {
			values := []shunt.Value{}
			for decoder.More() {
				values = append(values, decode(t, decoder))
			}
			_, _ = decoder.Token()
			return values
		}
		table := shunt.Table{}
		for decoder.More() {
			name, _ := decoder.Token()
			table = append(table, shunt.Entry{Name: name.(string), Value: decode(t, decoder)})
		}
		_, _ = decoder.Token()
		return special(table)
	}
	return token
}

// What JSON hasn't: sdk/conformance/README.md.
func special(table shunt.Table) shunt.Value {
	times, ok := table.Get("times").(int64)
	if !ok {
		times = 1
	}
	for _, entry := range table {
		switch value := entry.Value; entry.Name {
		case "$float":
			return value
		case "$timestamp":
			return shunt.Timestamp(value.(int64))
		case "$decimal":
			parts := value.([]shunt.Value)
			return shunt.Decimal{Scale: uint8(parts[0].(int64)), Digits: int32(parts[1].(int64))}
		case "$bytes":
			decoded, _ := hex.DecodeString(value.(string))
			return bytes.Repeat(decoded, int(times))
		case "$repeat":
			return strings.Repeat(value.(string), int(times))
		case "$items":
			return slices.Repeat([]shunt.Value{value}, int(times))
		}
	}
	return table
}
