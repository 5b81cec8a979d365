package main

import (
	"testing"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
	"github.com/shunt-mq/shunt/sdk/go/shunttest"
)

func TestConformance(t *testing.T) {
	shunttest.Cases(t, "../../../conformance/by-header.json", func() *shunt.Instance {
		return shunt.NewInstance("by-header", "1.0.0", made)
	})
}
