package cms

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"slices"

	// The hashes that a signature may name.
	_ "crypto/sha1" //nolint:gosec // named in reports, accepted by no policy
	_ "crypto/sha256"
	_ "crypto/sha512"
)

// Limits on what a file may hold beside its content.
const (
	// MaxStructure bounds certificates, revocation data and signers together.
	MaxStructure = 24 << 20
	maxSigners   = 64
	maxCerts     = 512
	maxDigests   = 16
	maxAttrs     = 128
	// headBytes of the content are kept, for the check that it is not a set of
	// signed attributes.
	headBytes = 16 << 10
)

// Message is one SignedData (RFC 5652, 5.1, SignedData Type) as it was read.
type Message struct {
	Version int
	// Digests that SignedData announces, as OIDs.
	DigestAlgorithms []string
	ContentType      string
	// Detached: there is no eContent. ContentGiven tells whether the caller gave
	// one.
	Detached     bool
	ContentGiven bool
	ContentBytes int64
	// Sums of the content by hash: SHA-256 always, others as announced.
	Sums map[crypto.Hash][]byte
	// Head is the content itself when it is at most 16 KiB, else nil.
	Head         []byte
	Certificates []Certificate
	CRLs, OCSPs  [][]byte
	// RawCertificates and RawCRLs are all elements of the two sets as received,
	// kinds included that are not understood here.
	RawCertificates, RawCRLs [][]byte
	// CertificateSet and CRLSet are the two elements themselves, nil when absent.
	CertificateSet, CRLSet []byte
	Signers                []SignerInfo
	Faults                 []Fault

	archive map[crypto.Hash]hash.Hash
	encap   *bounded
}

// Fault is a departure from the rules that did not stop the parser.
type Fault struct{ ID, Text string }

// Certificate is one of the file's certificates, as received. What crypto/x509
// would refuse is still found by issuer and serial number.
type Certificate struct {
	Raw     []byte
	Issuer  []byte // DER of the issuer's name
	Serial  []byte // content octets of the INTEGER
	SPKI    []byte // DER of SubjectPublicKeyInfo
	SKI     []byte // subject key identifier, nil without one
	Subject []byte // DER of the subject's name
}

// AlgorithmIdentifier keeps its parameters as received (nil: absent).
type AlgorithmIdentifier struct {
	OID    string
	Params []byte
}

// SignerInfo is RFC 5652, 5.3, SignerInfo Type.
type SignerInfo struct {
	Version int
	Raw     []byte
	// Issuer and Serial, or SKI.
	Issuer, Serial, SKI []byte
	Digest              AlgorithmIdentifier
	// SignedAttrs is the [0] element as received, nil when absent.
	SignedAttrs []byte
	Signed      []Attribute
	Algorithm   AlgorithmIdentifier
	Signature   []byte
	Unsigned    []Attribute
	Faults      []Fault
}

// Attribute is RFC 5652, 5.3, Attribute; Values are the elements as received.
type Attribute struct {
	OID    string
	Values [][]byte
}

// ParseOptions says where the content comes from and goes to.
type ParseOptions struct {
	// Content of a detached signature; nil when there is none.
	Content io.Reader
	// Extract receives the enveloped content as it is read, before anything is
	// known about the signature.
	Extract io.Writer
	// Hashes to compute beside SHA-256 and the announced ones.
	Hashes []crypto.Hash
	// Archive are the hashes that Message.Archive will be asked for.
	Archive []crypto.Hash
}

// Parse reads a SignedData from r. It returns an error only when the input is
// not one, cannot be read, or meets a limit.
func Parse(r io.Reader, o ParseOptions) (*Message, error) {
	br, wrapped, err := open(r)
	if err != nil {
		return nil, err
	}
	defer recycle(br)
	s := &stream{br: br}
	m := &Message{Sums: map[crypto.Hash][]byte{}}
	if wrapped == "base64" || wrapped == "pem" {
		m.fault("text-encoding", "the file is wrapped as "+wrapped)
	}
	if err := m.parse(s, o); err != nil {
		return nil, err
	}
	if n, err := trailing(s); err != nil {
		return nil, err
	} else if n {
		m.fault("trailing-data", "bytes follow the signature; they are not signed")
	}
	return m, nil
}

func (m *Message) fault(id, text string) { m.Faults = append(m.Faults, Fault{id, text}) }

// trailing looks for bytes after the message. The error of a text decoder after
// the last byte is what follows the base64 lines, not part of the message.
func trailing(s *stream) (bool, error) {
	_, err := s.br.Peek(1)
	if err == nil || !errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, nil
}

func (m *Message) parse(s *stream, o ParseOptions) error {
	outer, err := s.enter(scope{-1}, tagSequence)
	if err != nil {
		return notCMS(err)
	}
	budget := int64(MaxStructure)
	oid, err := s.oid(outer, &budget)
	if err != nil {
		return notCMS(err)
	}
	if oid != OIDSignedData {
		return fmt.Errorf("%w: content type %s", ErrNotCMS, oid)
	}
	explicit, err := s.enter(outer, tagContext0)
	if err != nil {
		return err
	}
	sd, err := s.enter(explicit, tagSequence)
	if err != nil {
		return err
	}
	version, err := s.element(sd, &budget)
	if err != nil {
		return err
	}
	if m.Version, err = smallInt(version); err != nil {
		return err
	}
	algs, err := s.element(sd, &budget)
	if err != nil {
		return err
	}
	if err := m.digestAlgorithms(algs); err != nil {
		return err
	}
	if err := m.content(s, sd, &budget, o); err != nil {
		return err
	}
	if err := m.rest(s, sd, &budget); err != nil {
		return err
	}
	for _, sc := range []scope{sd, explicit, outer} {
		if err := s.leave(sc); err != nil {
			return err
		}
	}
	return nil
}

// notCMS: whatever is wrong before the content type is known means that this is
// another kind of file.
func notCMS(err error) error {
	if errors.Is(err, ErrMalformed) {
		return fmt.Errorf("%w: %w", ErrNotCMS, err)
	}
	return err
}

func (s *stream) oid(in scope, budget *int64) (string, error) {
	el, err := s.element(in, budget)
	if err != nil {
		return "", err
	}
	if el.Tag != tagOID {
		return "", malformed("tag %#02x where an OBJECT IDENTIFIER belongs", el.Tag)
	}
	return oidString(el.Content)
}

func (m *Message) digestAlgorithms(set Element) error {
	if set.Tag != tagSet {
		return malformed("digestAlgorithms is not a SET")
	}
	els, err := children(set.Content, maxDigests)
	if err != nil {
		return err
	}
	for _, el := range els {
		alg, err := algorithm(el)
		if err != nil {
			return err
		}
		m.DigestAlgorithms = append(m.DigestAlgorithms, alg.OID)
	}
	return nil
}

// content reads EncapsulatedContentInfo and hashes what is in it, or the
// detached content.
func (m *Message) content(s *stream, in scope, budget *int64, o ParseOptions) error {
	s.tee = m.watch(o.Archive)
	defer func() { s.tee = nil }()
	sc, err := s.enter(in, tagSequence)
	if err != nil {
		return err
	}
	if m.ContentType, err = s.oid(sc, budget); err != nil {
		return err
	}
	end, err := s.atEnd(sc)
	if err != nil {
		return err
	}
	d := m.newDigester(o.Hashes)
	if n := sc.end - s.off; n > 0 && n < headBytes {
		d.head = make([]byte, 0, n)
		m.encap.data = slices.Grow(m.encap.data, int(n))
	}
	if end {
		m.Detached = true
		if o.Content != nil {
			m.ContentGiven = true
			for _, h := range m.archive {
				d.order = append(d.order, h)
			}
			if m.ContentBytes, err = io.CopyBuffer(onlyWriter{d}, o.Content, make([]byte, bufferSize)); err != nil {
				return fmt.Errorf("cms: content: %w", err)
			}
			d.finish(m)
		}
		return nil
	}
	if o.Extract != nil {
		d.out = o.Extract
	}
	exp, err := s.enter(sc, tagContext0)
	if err != nil {
		return err
	}
	if m.ContentBytes, err = s.copyOctets(exp, d, 0); err != nil {
		return err
	}
	d.finish(m)
	m.ContentGiven = true
	if err := s.leave(exp); err != nil {
		return err
	}
	return s.leave(sc)
}

// onlyWriter hides other methods, so that io.CopyBuffer uses our buffer.
type onlyWriter struct{ io.Writer }

// digester hashes a content under every announced algorithm and keeps its head.
type digester struct {
	hashes map[crypto.Hash]hash.Hash
	order  []hash.Hash
	out    io.Writer
	head   []byte
	over   bool
}

func (m *Message) newDigester(more []crypto.Hash) *digester {
	d := &digester{hashes: map[crypto.Hash]hash.Hash{}}
	add := func(h crypto.Hash) {
		if h != 0 && d.hashes[h] == nil {
			d.hashes[h] = h.New()
			d.order = append(d.order, d.hashes[h])
		}
	}
	add(crypto.SHA256)
	for _, oid := range m.DigestAlgorithms {
		add(HashByOID(oid))
	}
	for _, h := range more {
		add(h)
	}
	return d
}

func (d *digester) Write(p []byte) (int, error) {
	for _, h := range d.order {
		h.Write(p)
	}
	if !d.over {
		if len(d.head)+len(p) > headBytes {
			d.head, d.over = nil, true
		} else {
			d.head = append(d.head, p...)
		}
	}
	if d.out != nil {
		return d.out.Write(p)
	}
	return len(p), nil
}

func (d *digester) finish(m *Message) {
	for id, h := range d.hashes {
		m.Sums[id] = h.Sum(nil)
	}
	if !d.over {
		m.Head = d.head
	}
}

// rest reads certificates [0], crls [1] and signerInfos.
func (m *Message) rest(s *stream, in scope, budget *int64) error {
	for {
		tag, err := s.peekTag()
		if err != nil {
			return err
		}
		el, err := s.element(in, budget)
		if err != nil {
			return err
		}
		switch tag {
		case tagContext0:
			if len(m.RawCertificates) > 0 {
				return malformed("certificates twice")
			}
			m.CertificateSet = el.Raw
			if err := m.certificates(el); err != nil {
				return err
			}
		case tagContext1:
			if len(m.RawCRLs) > 0 {
				return malformed("crls twice")
			}
			m.CRLSet = el.Raw
			if err := m.revocations(el); err != nil {
				return err
			}
		case tagSet:
			return m.signers(el)
		default:
			return malformed("tag %#02x inside SignedData", tag)
		}
	}
}

func (m *Message) certificates(set Element) error {
	els, err := children(set.Content, maxCerts)
	if err != nil {
		return err
	}
	for _, el := range els {
		m.RawCertificates = append(m.RawCertificates, el.Raw)
		if el.Tag != tagSequence {
			m.fault("certificate-kind", "a certificate of another kind (attribute or obsolete) was passed over")
			continue
		}
		c, err := ParseCertificate(el.Raw)
		if err != nil {
			m.fault("certificate-unreadable", err.Error())
			continue
		}
		m.Certificates = append(m.Certificates, c)
	}
	return nil
}

// revocations: RFC 5652, 10.2.1, RevocationInfoChoices; RFC 5940, 2 for OCSP.
func (m *Message) revocations(set Element) error {
	els, err := children(set.Content, maxCerts)
	if err != nil {
		return err
	}
	for _, el := range els {
		m.RawCRLs = append(m.RawCRLs, el.Raw)
		switch el.Tag {
		case tagSequence:
			m.CRLs = append(m.CRLs, el.Raw)
		case tagContext1:
			id, rest, err := expect(el.Content, tagOID)
			if err != nil {
				return err
			}
			oid, err := oidString(id.Content)
			if err != nil {
				return err
			}
			if oid == oidRIOCSP || oid == oidPKIXOCSPResp {
				m.OCSPs = append(m.OCSPs, rest)
			} else {
				m.fault("revocation-kind", "revocation information of an unknown kind "+oid+" was passed over")
			}
		default:
			return malformed("tag %#02x inside crls", el.Tag)
		}
	}
	return nil
}

func (m *Message) signers(set Element) error {
	els, err := children(set.Content, maxSigners)
	if err != nil {
		return err
	}
	for i, el := range els {
		si, err := parseSigner(el)
		if err != nil {
			return fmt.Errorf("signer %d: %w", i+1, err)
		}
		for _, earlier := range m.Signers {
			if bytes.Equal(earlier.Raw, si.Raw) {
				si.Faults = append(si.Faults, Fault{"signer-duplicated", "the same SignerInfo stands twice"})
			}
		}
		m.Signers = append(m.Signers, si)
	}
	return nil
}

// ParseSigner reads one SignerInfo: the value of a counter-signature (RFC 5652, 11.4).
func ParseSigner(raw []byte) (SignerInfo, error) {
	el, rest, err := Next(raw)
	if err != nil {
		return SignerInfo{}, err
	}
	if len(rest) > 0 {
		return SignerInfo{}, malformed("bytes after SignerInfo")
	}
	return parseSigner(el)
}

func parseSigner(el Element) (si SignerInfo, err error) {
	if el.Tag != tagSequence {
		return si, malformed("SignerInfo is not a SEQUENCE")
	}
	si.Raw = el.Raw
	parts, err := children(el.Content, 16)
	if err != nil {
		return si, err
	}
	take := func() (Element, bool) {
		if len(parts) == 0 {
			return Element{}, false
		}
		e := parts[0]
		parts = parts[1:]
		return e, true
	}
	v, _ := take()
	if si.Version, err = smallInt(v); err != nil {
		return si, err
	}
	sid, _ := take()
	if err := si.identifier(sid); err != nil {
		return si, err
	}
	d, _ := take()
	if si.Digest, err = algorithm(d); err != nil {
		return si, err
	}
	next, ok := take()
	if ok && next.Tag == tagContext0 {
		si.SignedAttrs = next.Raw
		if si.Signed, err = attributes(next.Content); err != nil {
			return si, err
		}
		next, _ = take()
	}
	if si.Algorithm, err = algorithm(next); err != nil {
		return si, err
	}
	sig, _ := take()
	if si.Signature, err = octets(sig); err != nil {
		return si, err
	}
	if next, ok = take(); ok && next.Tag == tagContext1 {
		if si.Unsigned, err = attributes(next.Content); err != nil {
			return si, err
		}
		_, ok = take()
	}
	if ok {
		return si, malformed("more in a SignerInfo than belongs there")
	}
	return si, nil
}

func (si *SignerInfo) identifier(el Element) error {
	switch el.Tag {
	case tagSequence:
		name, rest, err := expect(el.Content, tagSequence)
		if err != nil {
			return err
		}
		serial, rest, err := expect(rest, tagInteger)
		if err != nil {
			return err
		}
		if len(rest) > 0 || len(serial.Content) == 0 {
			return malformed("issuerAndSerialNumber")
		}
		si.Issuer, si.Serial = name.Raw, serial.Content
	case 0x80:
		// An empty one is nobody's: the signer stays unknown.
		si.SKI = append([]byte{}, el.Content...)
	default:
		return malformed("tag %#02x where a signer identifier belongs", el.Tag)
	}
	return nil
}

func attributes(content []byte) ([]Attribute, error) {
	els, err := children(content, maxAttrs)
	if err != nil {
		return nil, err
	}
	out := make([]Attribute, 0, len(els))
	for _, el := range els {
		if el.Tag != tagSequence {
			return nil, malformed("an attribute is not a SEQUENCE")
		}
		id, rest, err := expect(el.Content, tagOID)
		if err != nil {
			return nil, err
		}
		oid, err := oidString(id.Content)
		if err != nil {
			return nil, err
		}
		set, rest, err := expect(rest, tagSet)
		if err != nil {
			return nil, err
		}
		if len(rest) > 0 {
			return nil, malformed("more in an attribute than belongs there")
		}
		vals, err := children(set.Content, maxAttrs)
		if err != nil {
			return nil, err
		}
		a := Attribute{OID: oid}
		for _, v := range vals {
			a.Values = append(a.Values, v.Raw)
		}
		out = append(out, a)
	}
	return out, nil
}

func algorithm(el Element) (AlgorithmIdentifier, error) {
	if el.Tag != tagSequence {
		return AlgorithmIdentifier{}, malformed("AlgorithmIdentifier is not a SEQUENCE")
	}
	id, rest, err := expect(el.Content, tagOID)
	if err != nil {
		return AlgorithmIdentifier{}, err
	}
	oid, err := oidString(id.Content)
	if err != nil {
		return AlgorithmIdentifier{}, err
	}
	a := AlgorithmIdentifier{OID: oid}
	if len(rest) > 0 {
		p, more, err := Next(rest)
		if err != nil || len(more) > 0 {
			return a, malformed("AlgorithmIdentifier parameters")
		}
		a.Params = p.Raw
	}
	return a, nil
}

func smallInt(el Element) (int, error) {
	if el.Tag != tagInteger || len(el.Content) == 0 || len(el.Content) > 2 || el.Content[0]&0x80 != 0 {
		return 0, malformed("version")
	}
	return int(new(big.Int).SetBytes(el.Content).Int64()), nil
}

// LooksLikeSignedAttributes tells whether a content parses as the DER of a set
// of signed attributes (content-type and message-digest in it): the two forms can
// be turned into each other without the key (draft-ietf-lamps-cms-euf-cma-signeddata).
func LooksLikeSignedAttributes(content []byte) bool {
	if len(content) == 0 || content[0] != tagSet {
		return false
	}
	set, rest, err := Next(content)
	if err != nil || len(rest) > 0 {
		return false
	}
	attrs, err := attributes(set.Content)
	if err != nil {
		return false
	}
	has := func(oid string) bool {
		return slices.ContainsFunc(attrs, func(a Attribute) bool { return a.OID == oid })
	}
	return has(OIDContentType) || has(OIDMessageDigest)
}
