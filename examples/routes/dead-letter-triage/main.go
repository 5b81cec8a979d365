// Sorts dead letters by why, where and how often they died: the recipe's README says how.
package main

import "github.com/shunt-mq/shunt/sdk/go/shunt"

// Header is the history that the broker writes into dead letters: the newest death first.
type Header struct {
	Deaths []shunt.Value `field:"headers.x-death"`
}

// One rule: what isn't given doesn't count.
type rule struct {
	index    uint32
	reason   string
	queue    string
	minCount int64
}

type triage struct{ rules []rule }

func (route *triage) CheckBinding(binding shunt.Binding) error {
	_, err := read(binding)
	return err
}

func (route *triage) Bindings(bindings []shunt.Binding) error {
	route.rules = route.rules[:0]
	for _, binding := range bindings {
		one, err := read(binding)
		if err != nil {
			return err
		}
		route.rules = append(route.rules, one)
	}
	return nil
}

func (route *triage) Route(header *Header, destinations *shunt.Destinations) error {
	if len(header.Deaths) == 0 {
		return shunt.Refusal("the message has not died: headers.x-death is empty")
	}
	death, ok := header.Deaths[0].(shunt.Table)
	if !ok {
		return shunt.Refusal("headers.x-death is not an array of tables")
	}
	reason, _ := death.Get("reason").(string)
	queue, _ := death.Get("queue").(string)
	count, _ := death.Get("count").(int64)
	for _, one := range route.rules {
		if (one.reason == "" || one.reason == reason) && (one.queue == "" || one.queue == queue) && count >= one.minCount {
			destinations.Add(one.index)
			return nil
		}
	}
	return nil
}

func read(binding shunt.Binding) (one rule, err error) {
	one.index = binding.Index
	if one.reason, _, err = shunt.Argument[string](binding.Arguments, "reason"); err != nil {
		return one, err
	}
	switch one.reason {
	case "", "rejected", "expired", "maxlen", "delivery_limit":
	default:
		return one, shunt.Refusal("no message dies of " + one.reason)
	}
	if one.queue, _, err = shunt.Argument[string](binding.Arguments, "queue"); err != nil {
		return one, err
	}
	one.minCount, _, err = shunt.Argument[int64](binding.Arguments, "min-count")
	return one, err
}

func made() shunt.Route[Header] { return &triage{} }

func init() { shunt.Register("dead-letter-triage", "1.0.0", made) }

func main() {}
