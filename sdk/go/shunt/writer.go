package shunt

import "encoding/binary"

func appendUnsigned(bytes []byte, number uint32) []byte {
	if number < 0x80 {
		return append(bytes, byte(number))
	}
	return binary.BigEndian.AppendUint32(append(bytes, 0xce), number)
}

func appendText(bytes []byte, text string) []byte {
	if len(text) < 32 {
		bytes = append(bytes, 0xa0|byte(len(text)))
	} else {
		bytes = binary.BigEndian.AppendUint32(append(bytes, 0xdb), uint32(len(text)))
	}
	return append(bytes, text...)
}

// The head of an array in its five bytes.
func putArrayHead(bytes []byte, count uint32) {
	bytes[0] = 0xdd
	binary.BigEndian.PutUint32(bytes[1:], count)
}

func appendTexts(bytes []byte, texts []string) []byte {
	bytes = binary.BigEndian.AppendUint32(append(bytes, 0xdd), uint32(len(texts)))
	for _, text := range texts {
		bytes = appendText(bytes, text)
	}
	return bytes
}

func encodeDescription(name, version string, reads, wants []string) []byte {
	bytes := []byte{0x84}
	bytes = appendText(appendText(bytes, "name"), name)
	bytes = appendText(appendText(bytes, "version"), version)
	bytes = appendTexts(appendText(bytes, "reads"), reads)
	return appendTexts(appendText(bytes, "wants"), wants)
}
