// To each binding whose argument value equals the header value.
package main

import "github.com/shunt-mq/shunt/sdk/go/shunt"

// Header is what counts of a message.
type Header struct {
	Value shunt.Value `field:"headers.value"`
}

type byHeader struct{ shunt.Kept }

func (route *byHeader) Route(header *Header, destinations *shunt.Destinations) error {
	for _, binding := range route.Bound {
		if shunt.Equal(binding.Arguments.Get("value"), header.Value) {
			destinations.Add(binding.Index)
		}
	}
	return nil
}

func made() shunt.Route[Header] { return &byHeader{} }

func init() { shunt.Register("by-header", "1.0.0", made) }

func main() {}
