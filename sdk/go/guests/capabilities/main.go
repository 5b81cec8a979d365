// Uses the capability that the routing key names.
package main

import (
	"bytes"
	"strconv"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
)

// Header is what counts of a message.
type Header struct {
	RoutingKey string
}

type capabilities struct{ shunt.Kept }

func (route *capabilities) Route(header *Header, destinations *shunt.Destinations) error {
	index, err := uint32(0), error(nil)
	switch header.RoutingKey {
	case "log":
		shunt.Log(shunt.Warn, "a line of the guest: größe")
	case "clock":
		now := shunt.NowMs()
		index = failed(now < 1_600_000_000_000 || now != shunt.NowMs())
	case "random":
		index = failed(shunt.RandomBits() == shunt.RandomBits())
	case "load":
		index, err = route.leastLoaded()
	case "state":
		index, err = count()
		index %= max(uint32(len(route.Bound)), 1)
	case "state-long":
		long := bytes.Repeat([]byte("v"), 1000)
		err = shunt.StatePut([]byte("long"), long)
		index = failed(!bytes.Equal(shunt.StateGet([]byte("long")), long))
	case "state-remove":
		err = shunt.StatePut([]byte("count"), nil)
		index = failed(shunt.StateGet([]byte("count")) != nil)
	default:
		err = shunt.Refusal("no such capability")
	}
	destinations.Add(index)
	return err
}

func failed(is bool) uint32 {
	if is {
		return 1
	}
	return 0
}

// The first of those with the fewest messages ready.
func (route *capabilities) leastLoaded() (uint32, error) {
	least, found := uint64(0), -1
	for _, binding := range route.Bound {
		if load, ok := shunt.QueueLoad(binding.Index, shunt.Ready); ok && (found < 0 || load < least) {
			least, found = load, int(binding.Index)
		}
	}
	if found < 0 {
		return 0, shunt.Refusal("no binding leads to a queue")
	}
	return uint32(found), nil
}

// How often it was asked before, as one decimal digit.
func count() (uint32, error) {
	count := 0
	if kept := shunt.StateGet([]byte("count")); kept != nil {
		var err error
		if count, err = strconv.Atoi(string(kept)); err != nil {
			return 0, err
		}
	}
	next := strconv.Itoa((count + 1) % 10)
	return uint32(count), shunt.StatePut([]byte("count"), []byte(next))
}

func init() {
	shunt.Register("capabilities", "1.0.0", func() shunt.Route[Header] { return &capabilities{} },
		shunt.Clock, shunt.Random, shunt.Load, shunt.State)
}

func main() {}
