//go:build !wasip1

package shunt

// HostStub is the host of tests: what it answers, and what it was told.
type HostStub struct {
	// Now is what NowMs answers.
	Now int64
	// Seed is where RandomBits begins; it moves on by itself.
	Seed uint64
	// Loads are what QueueLoad answers; what is not here is no queue.
	Loads map[uint32][3]uint64
	// State is what StateGet answers and StatePut changes.
	State map[string][]byte
	// StateMax is the most bytes of keys and values that StatePut takes, 0 without a limit.
	StateMax int
	// Lines are those that were logged.
	Lines []string
}

// Host is what the functions of this package ask outside of WebAssembly.
var Host = &HostStub{}

func hostLog(_ Level, text string) { Host.Lines = append(Host.Lines, text) }

func hostNowMs() int64 { return Host.Now }

// SplitMix64.
func hostRandom() uint64 {
	Host.Seed += 0x9e3779b97f4a7c15
	bits := Host.Seed
	bits = (bits ^ bits>>30) * 0xbf58476d1ce4e5b9
	bits = (bits ^ bits>>27) * 0x94d049bb133111eb
	return bits ^ bits>>31
}

func hostQueueLoad(index uint32, what What) int64 {
	loads, ok := Host.Loads[index]
	if !ok {
		return -1
	}
	return int64(loads[what])
}

func hostStateGet(key []byte) []byte { return Host.State[string(key)] }

func hostStatePut(key, value []byte) bool {
	if len(value) == 0 {
		delete(Host.State, string(key))
		return true
	}
	length := len(key) + len(value)
	for name, kept := range Host.State {
		if name != string(key) {
			length += len(name) + len(kept)
		}
	}
	if Host.StateMax > 0 && length > Host.StateMax {
		return false
	}
	if Host.State == nil {
		Host.State = map[string][]byte{}
	}
	Host.State[string(key)] = append([]byte{}, value...)
	return true
}
