// Traps where the routing key is trap.
package main

import "github.com/shunt-mq/shunt/sdk/go/shunt"

// Header is what counts of a message.
type Header struct {
	RoutingKey string
}

type lethal struct{}

func (lethal) Route(header *Header, destinations *shunt.Destinations) error {
	if header.RoutingKey == "trap" {
		panic("the routing key is trap")
	}
	destinations.Add(0)
	return nil
}

func init() {
	shunt.Register("trap", "1.0.0", func() shunt.Route[Header] { return lethal{} })
}

func main() {}
