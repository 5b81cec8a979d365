// To the first x-first bindings, and to the queue x-queue.
package main

import "github.com/shunt-mq/shunt/sdk/go/shunt"

// Header is empty: nothing of the message counts.
type Header struct{}

type fixed struct {
	first int64
	queue string
}

func (route *fixed) Configure(exchange shunt.Exchange) error {
	first, ok, err := shunt.Argument[int64](exchange.Arguments, "x-first")
	if err != nil {
		return err
	}
	if route.first = 1; ok {
		route.first = first
	}
	route.queue, _, err = shunt.Argument[string](exchange.Arguments, "x-queue")
	return err
}

func (route *fixed) Route(_ *Header, destinations *shunt.Destinations) error {
	for index := range route.first {
		destinations.Add(uint32(index))
	}
	if route.queue != "" {
		destinations.AddQueue(route.queue)
	}
	return nil
}

func made() shunt.Route[Header] { return &fixed{} }

func init() { shunt.Register("fixed", "1.0.0", made) }

func main() {}
