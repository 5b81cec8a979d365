// Never ends where the routing key is loop.
package main

import "github.com/shunt-mq/shunt/sdk/go/shunt"

// Header is what counts of a message.
type Header struct {
	RoutingKey string
}

type lethal struct{}

func (lethal) Route(header *Header, destinations *shunt.Destinations) error {
	if header.RoutingKey == "loop" {
		for {
		}
	}
	destinations.Add(0)
	return nil
}

func init() {
	shunt.Register("endless-loop", "1.0.0", func() shunt.Route[Header] { return lethal{} })
}

func main() {}
