//go:build wasip1

package shunt

import "unsafe"

//go:wasmimport shunt log
func importLog(level int32, text unsafe.Pointer, length uint32)

//go:wasmimport shunt now_ms
func importNowMs() int64

//go:wasmimport shunt random
func importRandom() int64

//go:wasmimport shunt queue_load
func importQueueLoad(index, what int32) int64

//go:wasmimport shunt state_get
func importStateGet(key unsafe.Pointer, keyLength uint32, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport shunt state_put
func importStatePut(key unsafe.Pointer, keyLength uint32, value unsafe.Pointer, length uint32) int32

func hostLog(level Level, text string) {
	importLog(int32(level), unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

func hostNowMs() int64 { return importNowMs() }

func hostRandom() uint64 { return uint64(importRandom()) }

func hostQueueLoad(index uint32, what What) int64 { return importQueueLoad(int32(index), int32(what)) }

func hostStateGet(key []byte) []byte {
	out := make([]byte, 64)
	for {
		length := importStateGet(data(key), uint32(len(key)), data(out), uint32(len(out)))
		if length < 0 {
			return nil
		}
		if int(length) <= len(out) {
			return out[:length]
		}
		// It may have changed when it is read again.
		out = make([]byte, length)
	}
}

func hostStatePut(key, value []byte) bool {
	return importStatePut(data(key), uint32(len(key)), data(value), uint32(len(value))) == 0
}

func data(bytes []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(bytes)) }
