package shunt

// Level is how much a line of the log matters.
type Level int32

// The levels of the log.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// What is what can be asked about a queue.
type What int32

// The loads of a queue: messages that wait, messages that a consumer has and did not settle,
// consumers.
const (
	Ready What = iota
	Unacked
	Consumers
)

// ErrStateFull says that the broker keeps no more for this route.
const ErrStateFull = Refusal("the route's state is full")

// Log writes a line to the broker's log; the host drops lines above the route's limit.
func Log(level Level, text string) { hostLog(level, text) }

// NowMs is Unix time in milliseconds, the same within one call. Needs Clock.
func NowMs() int64 { return hostNowMs() }

// RandomBits are 64 random bits. Needs Random.
func RandomBits() uint64 { return hostRandom() }

// QueueLoad is the load of the queue that a binding leads to; ok is false where that is an
// exchange. Needs Load.
func QueueLoad(index uint32, what What) (load uint64, ok bool) {
	answer := hostQueueLoad(index, what)
	return uint64(answer), answer >= 0
}

// StateGet is what the broker keeps under a key, nil where it keeps nothing. Needs State.
func StateGet(key []byte) []byte { return hostStateGet(key) }

// StatePut has the broker keep a value under a key; an empty one is removed. Needs State.
func StatePut(key, value []byte) error {
	if !hostStatePut(key, value) {
		return ErrStateFull
	}
	return nil
}
