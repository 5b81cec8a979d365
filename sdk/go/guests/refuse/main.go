// Refuses every message, and exchanges and bindings that ask for it.
package main

import "github.com/shunt-mq/shunt/sdk/go/shunt"

// Header is what counts of a message.
type Header struct {
	Reason *string `field:"headers.reason"`
}

type refuse struct{}

func (refuse) Configure(exchange shunt.Exchange) error {
	return asked(exchange.Arguments, "x-refuse")
}

func (refuse) CheckBinding(binding shunt.Binding) error {
	if binding.Key == "refuse" {
		return shunt.Refusal("the key is refuse")
	}
	return asked(binding.Arguments, "refuse")
}

func (refuse) Route(header *Header, _ *shunt.Destinations) error {
	if header.Reason != nil {
		return shunt.Refusal(*header.Reason)
	}
	return shunt.Refusal("refused by the guest")
}

// The reason that stands in an argument.
func asked(arguments shunt.Table, name string) error {
	reason, ok, err := shunt.Argument[string](arguments, name)
	if err == nil && ok {
		err = shunt.Refusal(reason)
	}
	return err
}

func made() shunt.Route[Header] { return refuse{} }

func init() { shunt.Register("refuse", "1.0.0", made) }

func main() {}
