package cms

import (
	"crypto"
	_ "crypto/sha1" // the hashes that are known are linked
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"strconv"
	"strings"
)

// Object identifiers in dotted form. RFC 5652, 12; RFC 5035, 5.4; RFC 6211, 2;
// ETSI EN 319 122-1, 5.
const (
	OIDData       = "1.2.840.113549.1.7.1"
	OIDSignedData = "1.2.840.113549.1.7.2"
	OIDTSTInfo    = "1.2.840.113549.1.9.16.1.4"

	OIDContentType          = "1.2.840.113549.1.9.3"
	OIDMessageDigest        = "1.2.840.113549.1.9.4"
	OIDSigningTime          = "1.2.840.113549.1.9.5"
	OIDCounterSignature     = "1.2.840.113549.1.9.6"
	OIDAlgorithmProtection  = "1.2.840.113549.1.9.52"
	OIDSigningCertificate   = "1.2.840.113549.1.9.16.2.12"
	OIDSignatureTimestamp   = "1.2.840.113549.1.9.16.2.14"
	OIDSigningCertificateV2 = "1.2.840.113549.1.9.16.2.47"
	OIDCertValues           = "1.2.840.113549.1.9.16.2.23"
	OIDRevocationValues     = "1.2.840.113549.1.9.16.2.24"
	OIDArchiveTimestampV3   = "0.4.0.1733.2.4"
	OIDContentTimestamp     = "1.2.840.113549.1.9.16.2.20"
	OIDSignaturePolicy      = "1.2.840.113549.1.9.16.2.15"
	OIDArchiveTimestamp     = "1.2.840.113549.1.9.16.2.27"
	OIDArchiveTimestampV2   = "1.2.840.113549.1.9.16.2.48"
	OIDHashIndex            = "0.4.0.1733.2.5"
	OIDHashIndexV2          = "0.4.0.19122.1.4"
	OIDHashIndexV3          = "0.4.0.19122.1.5"
	OIDRevocationArchival   = "1.2.840.113583.1.1.8" // ISO 32000-2, 12.8.3.3.2

	oidRSA          = "1.2.840.113549.1.1.1"
	oidRSASHA256    = "1.2.840.113549.1.1.11"
	oidRSAPSS       = "1.2.840.113549.1.1.10"
	oidMGF1         = "1.2.840.113549.1.1.8"
	oidECPublicKey  = "1.2.840.10045.2.1"
	oidECDSASHA256  = "1.2.840.10045.4.3.2"
	oidECDSASHA384  = "1.2.840.10045.4.3.3"
	oidECDSASHA512  = "1.2.840.10045.4.3.4"
	oidEd25519      = "1.3.101.112" // RFC 8410, 3
	oidSHA256       = "2.16.840.1.101.3.4.2.1"
	oidSHA384       = "2.16.840.1.101.3.4.2.2"
	oidSHA512       = "2.16.840.1.101.3.4.2.3"
	oidRIOCSP       = "1.3.6.1.5.5.7.16.2"
	oidPKIXOCSPResp = "1.3.6.1.5.5.7.48.1.1"
)

// hashes are the digest algorithms that are computed (RFC 5754, 2, Message Digest
// Algorithms; RFC 8702 and NIST's arc for SHA-3). SHA-1 is known so that a report can
// name it; no policy lets it pass.
var hashes = map[string]crypto.Hash{
	"1.3.14.3.2.26":           crypto.SHA1,
	"2.16.840.1.101.3.4.2.4":  crypto.SHA224,
	oidSHA256:                 crypto.SHA256,
	oidSHA384:                 crypto.SHA384,
	oidSHA512:                 crypto.SHA512,
	"2.16.840.1.101.3.4.2.7":  crypto.SHA3_224,
	"2.16.840.1.101.3.4.2.8":  crypto.SHA3_256,
	"2.16.840.1.101.3.4.2.9":  crypto.SHA3_384,
	"2.16.840.1.101.3.4.2.10": crypto.SHA3_512,
}

var hashOIDs = func() map[crypto.Hash]string {
	m := map[crypto.Hash]string{}
	for oid, h := range hashes {
		m[h] = oid
	}
	return m
}()

// HashByOID gives the hash of a digest algorithm, 0 for one that is not known.
func HashByOID(oid string) crypto.Hash { return hashes[oid] }

// OIDByHash is the inverse of HashByOID.
func OIDByHash(h crypto.Hash) string { return hashOIDs[h] }

// known spares the common OIDs the work of being spelled out.
var known = func() map[string]string {
	m := map[string]string{}
	for _, oid := range []string{
		OIDData, OIDSignedData, OIDContentType, OIDMessageDigest, OIDSigningTime, OIDSigningCertificateV2,
		OIDAlgorithmProtection, OIDSignatureTimestamp, oidRSA, oidRSASHA256, oidRSAPSS, oidMGF1,
		oidECDSASHA256, oidECDSASHA384, oidECDSASHA512, oidSHA256, oidSHA384, oidSHA512,
	} {
		m[string(appendOID(nil, oid)[2:])] = oid
	}
	return m
}()

// oidString turns the content octets of an OBJECT IDENTIFIER (X.690, 8.19) into
// dotted form. Arcs above 2^63 are kept as text of their octets: no OID that
// means something here has one.
func oidString(content []byte) (string, error) {
	if oid, ok := known[string(content)]; ok {
		return oid, nil
	}
	if len(content) == 0 || len(content) > 64 || content[len(content)-1]&0x80 != 0 {
		return "", malformed("object identifier")
	}
	var b strings.Builder
	var v uint64
	first := true
	for i, c := range content {
		if v == 0 && c == 0x80 && (i == 0 || content[i-1]&0x80 == 0) {
			return "", malformed("object identifier is not minimal")
		}
		if v > 1<<56 {
			return "", malformed("object identifier arc is too large")
		}
		v = v<<7 | uint64(c&0x7f)
		if c&0x80 != 0 {
			continue
		}
		if first {
			top := min(v/40, 2)
			b.WriteString(strconv.FormatUint(top, 10))
			v -= 40 * top
			first = false
		}
		b.WriteByte('.')
		b.WriteString(strconv.FormatUint(v, 10))
		v = 0
	}
	return b.String(), nil
}

// appendOID writes an OBJECT IDENTIFIER element; oid is one of our constants.
func appendOID(dst []byte, oid string) []byte {
	parts := strings.Split(oid, ".")
	var content []byte
	var head uint64
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 56)
		if err != nil {
			panic("cms: bad constant OID " + oid)
		}
		switch i {
		case 0:
			head = 40 * v
			continue
		case 1:
			v += head
		}
		var b [9]byte
		n := len(b)
		for {
			n--
			b[n] = byte(v & 0x7f)
			if n < len(b)-1 {
				b[n] |= 0x80
			}
			if v >>= 7; v == 0 {
				break
			}
		}
		content = append(content, b[n:]...)
	}
	return appendElement(dst, tagOID, content)
}
