package pdf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5" //nolint:gosec // 7.6.4.3 wants it; nothing is trusted because of it
	"crypto/rc4" //nolint:gosec // 7.6.3.1 wants it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
)

// crypt undoes the encryption of a file that opens without a password (7.6.4): one that
// has restrictions only.
type crypt struct {
	key              []byte
	streams, strings method
	metadata         bool // is encrypted too
}

type method byte

const (
	identity method = iota
	methodRC4
	methodAES  // AESV2, a key for each object
	methodAES3 // AESV3
)

// errPassword: the file needs a password, or a handler that is not known here.
var errPassword = errors.New("pdf: the file cannot be read without its password")

// padding is 7.6.4.3.2, step a: what stands for an empty password.
var padding = []byte("\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A")

// unlock finds the key of an encrypted file; without one the file stays locked.
func (f *File) unlock() {
	f.crypt = nil
	if f.Encrypted() {
		c, err := f.standard()
		f.crypt, f.locked = c, err != nil
	}
}

// Locked tells that strings and streams cannot be read without a password.
func (f *File) Locked() bool { return f.locked }

// standard is the standard security handler (7.6.4).
func (f *File) standard() (*crypt, error) {
	d := f.Dict(f.Trailer["Encrypt"])
	v, _ := f.Int(d["V"])
	r, _ := f.Int(d["R"])
	if f.Name(d["Filter"]) != "Standard" {
		return nil, errPassword
	}
	encrypted, told := f.Resolve(d["EncryptMetadata"]).(bool)
	c := &crypt{streams: methodRC4, strings: methodRC4, metadata: encrypted || !told}
	bits, ok := f.Int(d["Length"])
	if !ok || v == 1 {
		bits = 40
	}
	switch v {
	case 1, 2:
	case 4, 5:
		c.streams, c.strings = f.filter(d, "StmF"), f.filter(d, "StrF")
		if v == 4 {
			bits = 128
		}
	default:
		return nil, errPassword
	}
	owner, _ := f.Resolve(d["O"]).(String)
	user, _ := f.Resolve(d["U"]).(String)
	if v == 5 {
		wrapped, _ := f.Resolve(d["UE"]).(String)
		return c, c.unwrap(r, user, wrapped)
	}
	if bits < 40 || bits > 128 || bits%8 != 0 || len(owner) < 32 || len(user) < 32 {
		return nil, errPassword
	}
	p, _ := f.Int(d["P"])
	var id String
	if ids := f.Array(f.Trailer["ID"]); len(ids) > 0 {
		id, _ = f.Resolve(ids[0]).(String)
	}
	return c, c.derive(r, int(bits/8), owner, user, id, p)
}

// filter is the method of a crypt filter (7.6.6, table 25).
func (f *File) filter(d Dict, key Name) method {
	name := f.Name(d[key])
	if name == "" || name == "Identity" {
		return identity
	}
	switch f.Name(f.Dict(f.Dict(d["CF"])[name])["CFM"]) {
	case "V2":
		return methodRC4
	case "AESV2":
		return methodAES
	case "AESV3":
		return methodAES3
	}
	return identity
}

// derive is algorithm 2 (7.6.4.3.2) for an empty password, checked by algorithms 4 and 5.
func (c *crypt) derive(r int64, size int, owner, user, id String, p int64) error {
	h := md5.New() //nolint:gosec // see above
	h.Write(padding)
	h.Write(owner[:32])
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(p))) //nolint:gosec // the low bits are meant
	h.Write(id)
	if r >= 4 && !c.metadata {
		h.Write([]byte{0xFF, 0xFF, 0xFF, 0xFF})
	}
	key := h.Sum(nil)
	if r >= 3 {
		for range 50 {
			sum := md5.Sum(key[:size]) //nolint:gosec // see above
			key = sum[:]
		}
	}
	c.key = key[:size]
	if r == 2 {
		if !bytes.Equal(arc4(c.key, padding), user[:32]) {
			return errPassword
		}
		return nil
	}
	sum := md5.Sum(append(bytes.Clone(padding), id...)) //nolint:gosec // see above
	check := sum[:]
	for i := range byte(20) {
		k := bytes.Clone(c.key)
		for j := range k {
			k[j] ^= i
		}
		check = arc4(k, check)
	}
	if !bytes.Equal(check, user[:16]) {
		return errPassword
	}
	return nil
}

// unwrap is algorithm 2.A (7.6.4.3.3) for an empty password.
func (c *crypt) unwrap(r int64, user, wrapped String) error {
	if len(user) < 48 || len(wrapped) < 32 || (r != 5 && r != 6) {
		return errPassword
	}
	hash := func(salt []byte) []byte {
		sum := sha256.Sum256(salt)
		if r == 5 {
			return sum[:]
		}
		return hardened(sum[:])
	}
	if !bytes.Equal(hash(user[32:40]), user[:32]) {
		return errPassword
	}
	b, err := aes.NewCipher(hash(user[40:48]))
	if err != nil {
		return errPassword
	}
	c.key = make([]byte, 32)
	cipher.NewCBCDecrypter(b, make([]byte, aes.BlockSize)).CryptBlocks(c.key, wrapped[:32])
	return nil
}

// hardened is algorithm 2.B (7.6.4.3.4) for an empty password.
func hardened(k []byte) []byte {
	for round := 0; ; round++ {
		data := bytes.Repeat(k, 64)
		b, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil
		}
		cipher.NewCBCEncrypter(b, k[16:32]).CryptBlocks(data, data)
		sum := 0
		for _, x := range data[:16] {
			sum += int(x) // the number modulo 3 is its digits' sum: 256 is 1 modulo 3
		}
		switch sum % 3 {
		case 0:
			h := sha256.Sum256(data)
			k = h[:]
		case 1:
			h := sha512.Sum384(data)
			k = h[:]
		default:
			h := sha512.Sum512(data)
			k = h[:]
		}
		if round >= 63 && int(data[len(data)-1]) <= round-31 {
			return k[:32]
		}
	}
}

func arc4(key, data []byte) []byte {
	s, err := rc4.NewCipher(key) //nolint:gosec // see above
	if err != nil {
		return nil
	}
	out := make([]byte, len(data))
	s.XORKeyStream(out, data)
	return out
}

// open decrypts a string or a stream of an object (algorithm 1, 7.6.3.2).
func (c *crypt) open(m method, data []byte, num, gen int) []byte {
	key := c.key
	if m == methodRC4 || m == methodAES {
		key = append(bytes.Clone(key), byte(num), byte(num>>8), byte(num>>16), byte(gen), byte(gen>>8))
		if m == methodAES {
			key = append(key, "sAlT"...)
		}
		sum := md5.Sum(key) //nolint:gosec // see above
		key = sum[:min(len(c.key)+5, 16)]
	}
	switch m {
	case methodRC4:
		return arc4(key, data)
	case methodAES, methodAES3:
		b, err := aes.NewCipher(key)
		if err != nil || len(data) < 2*aes.BlockSize {
			return nil
		}
		iv, rest := data[:aes.BlockSize], data[aes.BlockSize:]
		out := make([]byte, len(rest)/aes.BlockSize*aes.BlockSize)
		cipher.NewCBCDecrypter(b, iv).CryptBlocks(out, rest[:len(out)])
		if n := int(out[len(out)-1]); n >= 1 && n <= aes.BlockSize {
			out = out[:len(out)-n]
		}
		return out
	}
	return data
}

// clear decrypts the strings of an object. A signature's value is not encrypted (7.6.2).
func (c *crypt) clear(o Object, num, gen int) Object {
	switch o := o.(type) {
	case String:
		return String(c.open(c.strings, o, num, gen))
	case Array:
		for i := range o {
			o[i] = c.clear(o[i], num, gen)
		}
	case Dict:
		value := o["ByteRange"] != nil
		for k, x := range o {
			if !value || k != "Contents" {
				o[k] = c.clear(x, num, gen)
			}
		}
	case *Stream:
		if o.Dict["Type"] != Name("XRef") {
			c.clear(o.Dict, num, gen)
		}
	}
	return o
}

// body decrypts a stream's bytes.
func (f *File) body(s *Stream, data []byte) []byte {
	c := f.crypt
	kind := f.Name(s.Dict["Type"])
	if kind == "XRef" || (kind == "Metadata" && !c.metadata) {
		return data
	}
	filters := f.Array(s.Dict["Filter"])
	if filters == nil {
		filters = Array{s.Dict["Filter"]}
	}
	for i, x := range filters { // 7.4.10: a stream may name a filter of its own; Identity is the default
		if f.Name(x) == "Crypt" {
			parms := s.Dict["DecodeParms"]
			if a := f.Array(parms); i < len(a) {
				parms = a[i]
			}
			if n := f.Name(f.Dict(parms)["Name"]); n == "" || n == "Identity" {
				return data
			}
		}
	}
	return c.open(c.streams, data, s.num, s.gen)
}
