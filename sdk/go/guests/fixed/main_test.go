package main

import (
	"testing"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
	"github.com/shunt-mq/shunt/sdk/go/shunttest"
)

func TestConformance(t *testing.T) {
	shunttest.Cases(t, "../../../conformance/fixed.json", func() *shunt.Instance {
		return shunt.NewInstance("fixed", "1.0.0", made)
	})
}
