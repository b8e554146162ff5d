// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ErrUserKey is returned for text that is no public user nkey.
var ErrUserKey = errors.New("not a public user nkey (U...)")

// prefixUser is the first byte of a public user nkey.
const prefixUser = 20 << 3

// UserHex returns the Ed25519 key of a public user nkey as 64 lower-case hexadecimal digits: the one form in which records know
// users. Each key has one spelling. It fails with ErrUserKey for anything else; the text stays out of the error, since it may be
// a seed, given by mistake.
func UserHex(key string) (string, error) {
	if !IsUserKey(key) {
		return "", fmt.Errorf("%w: it has not the form of one, %d letters of base32 that begin with U", ErrUserKey, UserKeySize)
	}
	var text [UserKeySize]byte // nodes ask for each message that is appended: nothing here is left to the garbage collector but the answer
	var raw [UserKeySize * 5 / 8]byte
	copy(text[:], key)
	if _, err := encoding.Decode(raw[:], text[:]); err != nil { // 56 letters are 35 bytes: nothing is left over that could be spelled otherwise
		return "", fmt.Errorf("%w: %w", ErrUserKey, err)
	}
	body, sum := raw[:len(raw)-2], raw[len(raw)-2:]
	if body[0] != prefixUser {
		return "", fmt.Errorf("%w: its first byte is that of no key", ErrUserKey)
	}
	if crc16(body) != binary.LittleEndian.Uint16(sum) {
		return "", fmt.Errorf("%w: its checksum is wrong; look for a typing error", ErrUserKey)
	}
	var digits [64]byte
	hex.Encode(digits[:], body[1:])
	return string(digits[:]), nil
}

// crc16 is the checksum of nkeys: CCITT as XMODEM uses it.
func crc16(data []byte) (crc uint16) {
	for _, b := range data {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^b]
	}
	return crc
}

var crcTable = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			crc = crc<<1 ^ crc>>15*0x1021
		}
		table[i] = crc
	}
	return table
}()
