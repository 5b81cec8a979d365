package main

import (
	"slices"
	"testing"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
	"github.com/shunt-mq/shunt/sdk/go/shunttest"
)

func TestCapabilities(t *testing.T) {
	made := func() shunt.Route[Header] { return &capabilities{} }
	exchange, err := shunttest.Declare(shunt.NewInstance("capabilities", "1.0.0", made), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"a", "b", "c"} {
		if err := exchange.BindQueue(queue, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	shunt.Host.Now = 1_700_000_000_000
	shunt.Host.Loads = map[uint32][3]uint64{0: {2}, 1: {1}, 2: {3}}
	for _, one := range [][2]string{
		{"clock", "a"}, {"random", "a"}, {"log", "a"}, {"load", "b"}, {"state", "a"}, {"state", "b"},
		{"state-remove", "a"}, {"state", "a"}, {"state-long", "a"},
	} {
		names, err := exchange.Route(shunttest.Header{"routing_key": one[0]})
		if err != nil || !slices.Equal(names, []string{one[1]}) {
			t.Errorf("%s: %v %v", one[0], names, err)
		}
	}
	if !slices.Equal(shunt.Host.Lines, []string{"a line of the guest: größe"}) {
		t.Error(shunt.Host.Lines)
	}
	if _, err := exchange.Route(shunttest.Header{"routing_key": "x"}); err == nil {
		t.Error("anything else is refused")
	}
}
