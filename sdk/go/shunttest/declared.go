// Package shunttest runs a route natively, without a broker: declare its exchange, bind, and ask
// where messages go. What goes in and out passes through the same bytes as in the broker.
package shunttest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
)

// Declared is an exchange in the virtual host "/" that a route serves.
type Declared struct {
	instance *shunt.Instance
	bindings []shunt.Value
}

// Header is the header of a message: fields by their names in the contract, such as
// "routing_key" or "headers.region".
type Header map[string]shunt.Value

// Declare declares an exchange with these arguments. An error is the route's refusal.
func Declare(instance *shunt.Instance, arguments shunt.Table) (*Declared, error) {
	input := shunt.Table{{Name: "exchange", Value: "tested"}, {Name: "vhost", Value: "/"}, {Name: "arguments", Value: arguments}}
	if err := instance.Configure(encode(nil, input)); err != nil {
		return nil, err
	}
	declared := &Declared{instance: instance}
	return declared, declared.rebind()
}

// BindQueue binds a queue.
func (declared *Declared) BindQueue(name, key string, arguments shunt.Table) error {
	return declared.bind(shunt.Queue, name, key, arguments)
}

// BindExchange binds an exchange.
func (declared *Declared) BindExchange(name, key string, arguments shunt.Table) error {
	return declared.bind(shunt.ToExchange, name, key, arguments)
}

func (declared *Declared) bind(kind shunt.Kind, name, key string, arguments shunt.Table) error {
	binding := []shunt.Value{string(kind), name, key, arguments}
	if err := declared.instance.CheckBinding(encode(nil, binding)); err != nil {
		return err
	}
	declared.bindings = append(declared.bindings, binding)
	return declared.rebind()
}

func (declared *Declared) rebind() error {
	return declared.instance.Bindings(encode(nil, declared.bindings))
}

// Route answers the names of the queues and exchanges that a message goes to, in the order of the
// route's answer.
func (declared *Declared) Route(header Header) ([]string, error) {
	fields := []shunt.Value{}
	for _, name := range declared.instance.Reads() {
		fields = append(fields, header.get(name))
	}
	answer, err := declared.instance.Route(encode(nil, fields))
	names := []string{}
	if err != nil || len(answer) == 0 {
		return names, err
	}
	value, err := shunt.NewCursor(answer).Read()
	if err != nil {
		return nil, errors.New("the answer is unreadable")
	}
	for _, destination := range value.([]shunt.Value) {
		switch destination := destination.(type) {
		case string:
			names = append(names, destination)
		case int64:
			if destination >= int64(len(declared.bindings)) {
				return nil, fmt.Errorf("no binding has the index %d", destination)
			}
			names = append(names, declared.bindings[destination].([]shunt.Value)[1].(string))
		}
	}
	return names, nil
}

// What every message has, and the whole table where one header is given.
func (header Header) get(name string) shunt.Value {
	if value, ok := header[name]; ok {
		return value
	}
	switch name {
	case "exchange":
		return "tested"
	case "vhost":
		return "/"
	case "user":
		return "guest"
	case "routing_key":
		return ""
	case "body_size":
		return int64(0)
	case "headers":
		table := shunt.Table{}
		for field, value := range header {
			if one, ok := strings.CutPrefix(field, "headers."); ok {
				table = append(table, shunt.Entry{Name: one, Value: value})
			}
		}
		if len(table) > 0 {
			return table
		}
	}
	return nil
}
