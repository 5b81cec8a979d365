// To one binding, by FNV-1a of the routing key.
package main

import (
	"hash/fnv"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
)

// Header is what counts of a message.
type Header struct {
	RoutingKey string
}

type byHash struct{ shunt.Kept }

func (route *byHash) Route(header *Header, destinations *shunt.Destinations) error {
	if len(route.Bound) > 0 {
		hash := fnv.New64a()
		hash.Write([]byte(header.RoutingKey))
		destinations.Add(uint32(hash.Sum64() % uint64(len(route.Bound))))
	}
	return nil
}

func made() shunt.Route[Header] { return &byHash{} }

func init() { shunt.Register("hash", "1.0.0", made) }

func main() {}
