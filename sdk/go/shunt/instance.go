package shunt

import (
	"reflect"
	"slices"
)

// Capability is something that a route can't have unless it says so and is granted it at deploy.
type Capability string

// The capabilities.
const (
	Clock  Capability = "clock"
	Random Capability = "random"
	Load   Capability = "load"
	State  Capability = "state"
)

// Instance is a route behind the bytes of the contract. Packages other than shunttest have no use
// for it.
type Instance struct {
	description []byte
	// Names of the fields, in the order of their values.
	reads []string
	make  func() *live
	live  *live
	// Why messages can't be routed, as long as that is so.
	unready      error
	destinations Destinations
}

// One configured value of a route.
type live struct {
	route any
	call  func(*Cursor, *Destinations) error
}

// The route of this module.
var registered *Instance

// Register makes a route the module's. It is called once, in an init function; made is called for
// each exchange.
func Register[H any](name, version string, made func() Route[H], wants ...Capability) {
	registered = NewInstance(name, version, made, wants...)
}

// NewInstance is what Register makes, for tests.
func NewInstance[H any](name, version string, made func() Route[H], wants ...Capability) *Instance {
	fields := fieldsOf(reflect.TypeFor[H]())
	reads := make([]string, len(fields))
	for place, field := range fields {
		reads[place] = field.name
	}
	names := make([]string, len(wants))
	for place, want := range wants {
		names[place] = string(want)
	}
	start := func() *live {
		route := made()
		header := new(H)
		members := reflect.ValueOf(header).Elem()
		call := func(cursor *Cursor, destinations *Destinations) error {
			count, err := cursor.Array()
			if err != nil {
				return err
			}
			if int(count) != len(fields) {
				return Refusal("the host passed another number of fields")
			}
			for place := range fields {
				value, err := cursor.Read()
				if err != nil {
					return err
				}
				if err := fields[place].set(members, value); err != nil {
					return err
				}
			}
			return route.Route(header, destinations)
		}
		return &live{route, call}
	}
	return &Instance{description: encodeDescription(name, version, reads, names), reads: reads, make: start}
}

const unconfigured = Refusal("the host has not configured this instance")

// Describe is the answer of shunt_describe.
func (instance *Instance) Describe() []byte { return instance.description }

// Reads are the names of the fields.
func (instance *Instance) Reads() []string { return slices.Clone(instance.reads) }

// Configure is shunt_configure.
func (instance *Instance) Configure(input []byte) error {
	instance.live, instance.unready = nil, nil
	value, err := NewCursor(input).Read()
	table, ok := value.(Table)
	if err != nil || !ok {
		return errMalformed
	}
	name, _ := table.Get("exchange").(string)
	vhost, _ := table.Get("vhost").(string)
	arguments, ok := table.Get("arguments").(Table)
	if !ok {
		return errMalformed
	}
	live := instance.make()
	if route, ok := live.route.(Configurer); ok {
		if err := route.Configure(Exchange{name, vhost, arguments}); err != nil {
			return err
		}
	}
	instance.live = live
	return nil
}

// CheckBinding is shunt_check_binding.
func (instance *Instance) CheckBinding(input []byte) error {
	if instance.live == nil {
		return unconfigured
	}
	value, err := NewCursor(input).Read()
	if err != nil {
		return err
	}
	binding, err := readBinding(value, ^uint32(0))
	if err != nil {
		return err
	}
	if route, ok := instance.live.route.(BindingChecker); ok {
		return route.CheckBinding(binding)
	}
	return nil
}

// Bindings is shunt_bindings.
func (instance *Instance) Bindings(input []byte) error {
	// A route that holds half of the bindings must not decide anything.
	instance.unready = instance.bind(input)
	return instance.unready
}

func (instance *Instance) bind(input []byte) error {
	if instance.live == nil {
		return unconfigured
	}
	value, err := NewCursor(input).Read()
	values, ok := value.([]Value)
	if err != nil || !ok {
		return errMalformed
	}
	bindings := make([]Binding, len(values))
	for place, value := range values {
		if bindings[place], err = readBinding(value, uint32(place)); err != nil {
			return err
		}
	}
	if route, ok := instance.live.route.(Binder); ok {
		return route.Bindings(bindings)
	}
	return nil
}

// Route is shunt_route: the answer, empty for none, holds until the next call.
func (instance *Instance) Route(input []byte) ([]byte, error) {
	if instance.unready != nil {
		return nil, instance.unready
	}
	if instance.live == nil {
		return nil, unconfigured
	}
	instance.destinations.clear()
	if err := instance.live.call(NewCursor(input), &instance.destinations); err != nil {
		return nil, err
	}
	return instance.destinations.finish(), nil
}

func readBinding(value Value, index uint32) (Binding, error) {
	parts, _ := value.([]Value)
	if len(parts) != 4 {
		return Binding{}, errMalformed
	}
	kind, isKind := parts[0].(string)
	name, isName := parts[1].(string)
	key, isKey := parts[2].(string)
	arguments, isTable := parts[3].(Table)
	if !isKind || !isName || !isKey || !isTable {
		return Binding{}, errMalformed
	}
	return Binding{index, Kind(kind), name, key, arguments}, nil
}
