package main

import (
	"testing"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
	"github.com/shunt-mq/shunt/sdk/go/shunttest"
)

func TestConformance(t *testing.T) {
	shunttest.Cases(t, "../../../conformance/hash.json", func() *shunt.Instance {
		return shunt.NewInstance("hash", "1.0.0", made)
	})
}
