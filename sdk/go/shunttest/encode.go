package shunttest

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/shunt-mq/shunt/sdk/go/shunt"
)

// A value as the host writes it, though not always in its shortest form.
func encode(out []byte, value shunt.Value) []byte {
	switch value := value.(type) {
	case nil:
		return append(out, 0xc0)
	case bool:
		if value {
			return append(out, 0xc3)
		}
		return append(out, 0xc2)
	case int:
		return encode(out, int64(value))
	case int64:
		if value >= 0 && value < 0x80 {
			return append(out, byte(value))
		}
		return binary.BigEndian.AppendUint64(append(out, 0xd3), uint64(value))
	case float64:
		return binary.BigEndian.AppendUint64(append(out, 0xcb), math.Float64bits(value))
	case string:
		return append(length(out, 0xdb, len(value)), value...)
	case []byte:
		return append(length(out, 0xc6, len(value)), value...)
	case shunt.Timestamp:
		return binary.BigEndian.AppendUint64(append(out, 0xc7, 12, 0xff, 0, 0, 0, 0), uint64(value))
	case shunt.Decimal:
		return binary.BigEndian.AppendUint32(append(out, 0xc7, 5, 1, value.Scale), uint32(value.Digits))
	case []shunt.Value:
		out = length(out, 0xdd, len(value))
		for _, item := range value {
			out = encode(out, item)
		}
		return out
	case shunt.Table:
		out = length(out, 0xdf, len(value))
		for _, entry := range value {
			out = encode(encode(out, entry.Name), entry.Value)
		}
		return out
	}
	panic(fmt.Sprintf("%T is no value of the contract", value))
}

func length(out []byte, tag byte, length int) []byte {
	return binary.BigEndian.AppendUint32(append(out, tag), uint32(length))
}
