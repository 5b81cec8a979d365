package shunt

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"
)

var errMalformed = errors.New("the host's input is not what the contract says")

// Cursor is a place in MessagePack, moved forward value by value.
//
//	00-7f positive fixint   80-8f fixmap   90-9f fixarray   a0-bf fixstr   c0 nil   c2 c3 bool
//	c4 c5 c6 bin 8 16 32    c7 c8 c9 ext 8 16 32   ca cb float 32 64
//	cc cd ce cf uint        d0 d1 d2 d3 int        d4 d5 d6 d7 d8 fixext 1 2 4 8 16
//	d9 da db str 8 16 32    dc dd array 16 32      de df map 16 32   e0-ff negative fixint
type Cursor struct {
	rest []byte
}

// NewCursor stands before the first of these bytes.
func NewCursor(bytes []byte) *Cursor { return &Cursor{bytes} }

func (cursor *Cursor) take(length uint64) ([]byte, error) {
	if length > uint64(len(cursor.rest)) {
		return nil, errMalformed
	}
	taken := cursor.rest[:length:length]
	cursor.rest = cursor.rest[length:]
	return taken, nil
}

// An unsigned number of 1 << log bytes.
func (cursor *Cursor) number(log uint8) (uint64, error) {
	bytes, err := cursor.take(1 << log)
	if err != nil {
		return 0, err
	}
	switch log {
	case 0:
		return uint64(bytes[0]), nil
	case 1:
		return uint64(binary.BigEndian.Uint16(bytes)), nil
	case 2:
		return uint64(binary.BigEndian.Uint32(bytes)), nil
	}
	return binary.BigEndian.Uint64(bytes), nil
}

// Array reads the start of an array and answers how many values follow.
func (cursor *Cursor) Array() (uint32, error) {
	tag, err := cursor.number(0)
	if err != nil {
		return 0, err
	}
	switch {
	case tag >= 0x90 && tag <= 0x9f:
		return uint32(tag & 15), nil
	case tag == 0xdc || tag == 0xdd:
		count, err := cursor.number(uint8(tag - 0xdb))
		return cursor.count(count, 1, err)
	}
	return 0, errMalformed
}

// Every value has a byte at least: a count that says otherwise is a lie, and no room is made for
// it.
func (cursor *Cursor) count(count, each uint64, err error) (uint32, error) {
	if err != nil || count*each > uint64(len(cursor.rest)) {
		return 0, errMalformed
	}
	return uint32(count), nil
}

// Read reads the next value, with all that is nested in it.
func (cursor *Cursor) Read() (Value, error) {
	first, err := cursor.number(0)
	if err != nil {
		return nil, err
	}
	tag := uint8(first)
	switch {
	case tag <= 0x7f:
		return int64(tag), nil
	case tag >= 0xe0:
		return int64(int8(tag)), nil
	case tag >= 0xa0 && tag <= 0xbf:
		return cursor.text(uint64(tag&31), nil)
	case tag >= 0x90 && tag <= 0x9f:
		return cursor.array(uint64(tag&15), nil)
	case tag >= 0x80 && tag <= 0x8f:
		return cursor.table(uint64(tag&15), nil)
	}
	switch tag {
	case 0xc0:
		return nil, nil
	case 0xc2, 0xc3:
		return tag == 0xc3, nil
	case 0xc4, 0xc5, 0xc6:
		length, err := cursor.number(tag - 0xc4)
		if err != nil {
			return nil, err
		}
		bytes, err := cursor.take(length)
		return append([]byte{}, bytes...), err
	case 0xc7, 0xc8, 0xc9:
		length, err := cursor.number(tag - 0xc7)
		if err != nil {
			return nil, err
		}
		return cursor.extension(length)
	case 0xca:
		bits, err := cursor.number(2)
		return float64(math.Float32frombits(uint32(bits))), err
	case 0xcb:
		bits, err := cursor.number(3)
		return math.Float64frombits(bits), err
	case 0xcc, 0xcd, 0xce, 0xcf:
		number, err := cursor.number(tag - 0xcc)
		if number > math.MaxInt64 {
			return number, err
		}
		return int64(number), err
	case 0xd0, 0xd1, 0xd2, 0xd3:
		log := tag - 0xd0
		number, err := cursor.number(log)
		unused := 64 - 8<<log
		return int64(number<<unused) >> unused, err
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return cursor.extension(1 << (tag - 0xd4))
	case 0xd9, 0xda, 0xdb:
		return cursor.text(cursor.number(tag - 0xd9))
	case 0xdc, 0xdd:
		return cursor.array(cursor.number(tag - 0xdb))
	case 0xde, 0xdf:
		return cursor.table(cursor.number(tag - 0xdd))
	}
	return nil, errMalformed
}

func (cursor *Cursor) text(length uint64, err error) (Value, error) {
	if err != nil {
		return nil, err
	}
	bytes, err := cursor.take(length)
	if err != nil || !utf8.Valid(bytes) {
		return nil, errMalformed
	}
	return string(bytes), nil
}

func (cursor *Cursor) array(length uint64, err error) (Value, error) {
	count, err := cursor.count(length, 1, err)
	if err != nil {
		return nil, err
	}
	values := make([]Value, count)
	for place := range values {
		if values[place], err = cursor.Read(); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func (cursor *Cursor) table(length uint64, err error) (Value, error) {
	count, err := cursor.count(length, 2, err)
	if err != nil {
		return nil, err
	}
	table := make(Table, count)
	for place := range table {
		name, err := cursor.Read()
		if err != nil {
			return nil, err
		}
		text, ok := name.(string)
		if !ok {
			return nil, errMalformed
		}
		value, err := cursor.Read()
		if err != nil {
			return nil, err
		}
		table[place] = Entry{text, value}
	}
	return table, nil
}

// A timestamp is of type -1, in 4, 8 or 12 bytes; a decimal is of type 1.
func (cursor *Cursor) extension(length uint64) (Value, error) {
	kind, err := cursor.number(0)
	if err != nil {
		return nil, err
	}
	bytes, err := cursor.take(length)
	if err != nil {
		return nil, err
	}
	switch {
	case kind == 0xff && length == 4:
		return Timestamp(binary.BigEndian.Uint32(bytes)), nil
	case kind == 0xff && length == 8:
		return Timestamp(binary.BigEndian.Uint64(bytes) & (1<<34 - 1)), nil
	case kind == 0xff && length == 12:
		return Timestamp(binary.BigEndian.Uint64(bytes[4:])), nil
	case kind == 1 && length == 5:
		return Decimal{bytes[0], int32(binary.BigEndian.Uint32(bytes[1:]))}, nil
	}
	return nil, errMalformed
}
