// Package shunt is for routes of the Shunt message broker: WebAssembly modules that decide,
// message by message, to which of their exchange's bindings a message goes.
//
// A route registers itself in an init function and has an empty main:
//
//	type Header struct {
//		Region string `field:"headers.region"`
//	}
//
//	type ByRegion struct{ shunt.Kept }
//
//	func (r *ByRegion) Route(header *Header, destinations *shunt.Destinations) error {
//		for _, binding := range r.Bound {
//			if binding.Key == header.Region {
//				destinations.Add(binding.Index)
//			}
//		}
//		return nil
//	}
//
//	func init() {
//		shunt.Register("by-region", "1.0.0", func() shunt.Route[Header] { return &ByRegion{} })
//	}
//
//	func main() {}
package shunt

// Route decides where messages go. H is a struct of the fields that it reads.
//
// A value serves one exchange, one call at a time. The host makes as many instances as it needs
// and may replace one at any time: what a value remembers of messages is a cache at best.
//
// An error is a refusal: the message fails with its text as the reason. A panic is a trap.
type Route[H any] interface {
	Route(header *H, destinations *Destinations) error
}

// Configurer is for routes that take settings: called first, with the exchange that is declared.
// An error refuses the declaration, 406 for the client.
type Configurer interface {
	Configure(exchange Exchange) error
}

// BindingChecker is for routes that want to refuse bindings: called before one is stored. An
// error is the client's 406.
type BindingChecker interface {
	CheckBinding(binding Binding) error
}

// Binder is for routes that look at bindings: called with all of them, first and whenever they
// change. What makes Route fast is prepared here.
type Binder interface {
	Bindings(bindings []Binding) error
}

// Kept is embedded by routes that want their bindings as they are.
type Kept struct {
	// Bound are the exchange's bindings, in the order of their indexes.
	Bound []Binding
}

// Bindings keeps them.
func (kept *Kept) Bindings(bindings []Binding) error {
	kept.Bound = bindings
	return nil
}

// Refusal is an error with a fixed reason.
type Refusal string

// Error is the reason.
func (refusal Refusal) Error() string { return string(refusal) }

// Exchange is what a route is declared for.
type Exchange struct {
	Name      string
	Vhost     string
	Arguments Table
}

// Kind says what a binding leads to.
type Kind string

// What a binding may lead to.
const (
	Queue      Kind = "queue"
	ToExchange Kind = "exchange"
)

// Binding is one binding of the exchange.
type Binding struct {
	// Index is its place among the bindings: what a route answers.
	Index uint32
	Kind  Kind
	// Name is that of the queue or of the exchange.
	Name      string
	Key       string
	Arguments Table
}

// Destinations collects where a message goes; none at all makes it unroutable.
type Destinations struct {
	bytes []byte
	count uint32
}

// Add adds what the binding of this index leads to.
func (destinations *Destinations) Add(index uint32) {
	destinations.count++
	destinations.bytes = appendUnsigned(destinations.bytes, index)
}

// AddQueue adds a queue by its name, which the host takes only from a route that was deployed
// with the right to reach any queue.
func (destinations *Destinations) AddQueue(name string) {
	destinations.count++
	destinations.bytes = appendText(destinations.bytes, name)
}

// Room for the head of the answer, which is known last.
const answerHead = 5

func (destinations *Destinations) clear() {
	destinations.bytes = append(destinations.bytes[:0], make([]byte, answerHead)...)
	destinations.count = 0
}

func (destinations *Destinations) finish() []byte {
	if destinations.count == 0 {
		return nil
	}
	putArrayHead(destinations.bytes, destinations.count)
	return destinations.bytes
}
