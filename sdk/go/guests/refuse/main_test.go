package main

import (
	"testing"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
	"github.com/shunt-mq/shunt/sdk/go/shunttest"
)

func TestConformance(t *testing.T) {
	shunttest.Cases(t, "../../../conformance/refuse.json", func() *shunt.Instance {
		return shunt.NewInstance("refuse", "1.0.0", made)
	})
}
