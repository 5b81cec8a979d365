//go:build wasip1

package shunt

import (
	"math"
	"unsafe"
)

//go:wasmexport shunt_abi
func exportABI() int32 { return 1 }

// Buffers that the host may fill. None is ever given back: the host may fill it again without
// asking.
var buffers [][]byte

// Enough for nearly every message, so that a second buffer is rare.
const bufferMin = 1024

//go:wasmexport shunt_alloc
func exportAlloc(length int32) int32 {
	if length < 0 {
		return 0
	}
	buffer := make([]byte, max(int(length), bufferMin))
	buffers = append(buffers, buffer)
	return int32(address(buffer))
}

//go:wasmexport shunt_describe
func exportDescribe() int64 { return pack(registered.Describe()) }

//go:wasmexport shunt_configure
func exportConfigure(start, length int32) int64 {
	return plain(registered.Configure(input(start, length)))
}

//go:wasmexport shunt_check_binding
func exportCheckBinding(start, length int32) int64 {
	return plain(registered.CheckBinding(input(start, length)))
}

//go:wasmexport shunt_bindings
func exportBindings(start, length int32) int64 {
	return plain(registered.Bindings(input(start, length)))
}

//go:wasmexport shunt_route
func exportRoute(start, length int32) int64 {
	answer, err := registered.Route(input(start, length))
	if err != nil {
		return plain(err) | math.MinInt64
	}
	return pack(answer)
}

// What the host wrote; empty where it is in no buffer.
func input(start, length int32) []byte {
	for place := len(buffers) - 1; place >= 0; place-- {
		offset := int64(uint32(start)) - int64(address(buffers[place]))
		end := offset + int64(uint32(length))
		if offset >= 0 && end <= int64(len(buffers[place])) {
			return buffers[place][offset:end]
		}
	}
	return nil
}

// The last reason: the host reads it after the call has returned.
var reason []byte

func plain(err error) int64 {
	if err == nil {
		return 0
	}
	// Zero would mean that all is well.
	reason = append(append(reason[:0], err.Error()...), 0)
	return int64(address(reason))<<32 | int64(len(reason)-1)
}

func pack(bytes []byte) int64 {
	if len(bytes) == 0 {
		return 0
	}
	return int64(address(bytes))<<32 | int64(len(bytes))
}

func address(bytes []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))) }
