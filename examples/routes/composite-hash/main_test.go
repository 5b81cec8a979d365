package main

import (
	"testing"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
	"github.com/shunt-mq/shunt/sdk/go/shunttest"
)

func TestCases(t *testing.T) {
	shunttest.Cases(t, "cases.json", func() *shunt.Instance {
		return shunt.NewInstance("composite-hash", "1.0.0", made)
	})
}
