// One queue for each combination of headers: the recipe's README says how to use it.
package main

import (
	"hash/fnv"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
)

// Header has the whole table: which headers count is the exchange's business.
type Header struct {
	Headers shunt.Value
}

type compositeHash struct {
	names []string
	// By binding: the hash of its queue's name, to be mixed with that of a message.
	seeds []uint64
}

func (route *compositeHash) Configure(exchange shunt.Exchange) error {
	values, _, err := shunt.Argument[[]shunt.Value](exchange.Arguments, "x-hash-by")
	if err != nil {
		return err
	}
	for _, value := range values {
		name, ok := value.(string)
		if !ok {
			return shunt.Refusal("x-hash-by is not an array of headers' names")
		}
		route.names = append(route.names, name)
	}
	if len(route.names) == 0 {
		return shunt.Refusal("x-hash-by names the headers that count")
	}
	return nil
}

func (route *compositeHash) Bindings(bindings []shunt.Binding) error {
	route.seeds = route.seeds[:0]
	for _, binding := range bindings {
		route.seeds = append(route.seeds, hash(binding.Name))
	}
	return nil
}

// Rendezvous: every binding draws a number from its own name and the message's key, and the largest
// wins. Where a binding goes, only its messages move.
func (route *compositeHash) Route(header *Header, destinations *shunt.Destinations) error {
	table, _ := header.Headers.(shunt.Table)
	texts := make([]string, len(route.names))
	for place, name := range route.names {
		text, ok := table.Get(name).(string)
		if !ok {
			return shunt.Refusal("headers." + name + " is not a string")
		}
		texts[place] = text
	}
	key := hash(texts...)
	best, winner := uint64(0), -1
	for index, seed := range route.seeds {
		if draw := mix(seed ^ key); winner < 0 || draw > best {
			best, winner = draw, index
		}
	}
	if winner >= 0 {
		destinations.Add(uint32(winner))
	}
	return nil
}

// FNV-1a over the texts, each with a zero behind it, so that "a", "bc" isn't "ab", "c".
func hash(texts ...string) uint64 {
	sum := fnv.New64a()
	for _, text := range texts {
		sum.Write([]byte(text))
		sum.Write([]byte{0})
	}
	return mix(sum.Sum64())
}

// The finisher of SplitMix64.
func mix(bits uint64) uint64 {
	bits = (bits ^ bits>>30) * 0xbf58476d1ce4e5b9
	bits = (bits ^ bits>>27) * 0x94d049bb133111eb
	return bits ^ bits>>31
}

func made() shunt.Route[Header] { return &compositeHash{} }

func init() { shunt.Register("composite-hash", "1.0.0", made) }

func main() {}
