// Takes memory until there is none where the routing key is eat.
package main

import "github.com/shunt-mq/shunt/sdk/go/shunt"

// Header is what counts of a message.
type Header struct {
	RoutingKey string
}

type lethal struct{}

func (lethal) Route(header *Header, destinations *shunt.Destinations) error {
	if header.RoutingKey == "eat" {
		var eaten [][]byte
		for {
			eaten = append(eaten, make([]byte, 1<<20))
		}
	}
	destinations.Add(0)
	return nil
}

func init() {
	shunt.Register("memory-eater", "1.0.0", func() shunt.Route[Header] { return lethal{} })
}

func main() {}
