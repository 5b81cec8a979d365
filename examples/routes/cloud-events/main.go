// Routes CloudEvents by their attributes: the recipe's README says how to use it.
package main

import (
	"strings"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
)

// Header are the attributes, under the names that CloudEvents has for AMQP.
type Header struct {
	Type    string  `field:"headers.cloudEvents:type"`
	Source  *string `field:"headers.cloudEvents:source"`
	Subject *string `field:"headers.cloudEvents:subject"`
}

// What an attribute must be: a text, or the start of one.
type pattern struct {
	text     string
	isPrefix bool
}

func (pattern *pattern) matches(attribute *string) bool {
	switch {
	case pattern == nil:
		return true
	case attribute == nil:
		return false
	case pattern.isPrefix:
		return strings.HasPrefix(*attribute, pattern.text)
	}
	return *attribute == pattern.text
}

type subscription struct {
	index                 uint32
	kind, source, subject *pattern
}

type cloudEvents struct{ subscriptions []subscription }

func (route *cloudEvents) CheckBinding(binding shunt.Binding) error {
	_, err := read(binding)
	return err
}

func (route *cloudEvents) Bindings(bindings []shunt.Binding) error {
	route.subscriptions = route.subscriptions[:0]
	for _, binding := range bindings {
		one, err := read(binding)
		if err != nil {
			return err
		}
		route.subscriptions = append(route.subscriptions, one)
	}
	return nil
}

func (route *cloudEvents) Route(header *Header, destinations *shunt.Destinations) error {
	for _, one := range route.subscriptions {
		if one.kind.matches(&header.Type) && one.source.matches(header.Source) && one.subject.matches(header.Subject) {
			destinations.Add(one.index)
		}
	}
	return nil
}

func read(binding shunt.Binding) (one subscription, err error) {
	one.index = binding.Index
	for _, entry := range binding.Arguments {
		text, ok := entry.Value.(string)
		if !ok || text == "" {
			return one, shunt.Refusal(entry.Name + " is not a text that is matched")
		}
		before, isPrefix := strings.CutSuffix(text, "*")
		wanted := &pattern{before, isPrefix}
		switch entry.Name {
		case "type":
			one.kind = wanted
		case "source":
			one.source = wanted
		case "subject":
			one.subject = wanted
		default:
			return one, shunt.Refusal("a subscription is by type, source and subject, not by " + entry.Name)
		}
	}
	return one, nil
}

func made() shunt.Route[Header] { return &cloudEvents{} }

func init() { shunt.Register("cloud-events", "1.0.0", made) }

func main() {}
