// Package wire is the WebSocket protocol between a web page and the agent:
// messages, versions, limits, error codes. It has no behaviour; agent/gateway
// speaks it on one side, agent/client on the other. PROTOCOL.md beside this file
// shows an example of every message; golden/ holds the same as files, and the Go
// and the TypeScript side are both tested against them.
package wire

import (
	"encoding/json"
	"time"
)

// Version of the protocol. Subprotocol is what the handshake must name, Path the
// only address that is answered.
const (
	Version     = 1
	Subprotocol = "citel.v1"
	Path        = "/"
)

// CloseRefused is the WebSocket close code (RFC 6455, 7.4.2, Reserved Status
// Code Ranges: private use) for a page that the person does not want to hear:
// the handshake ends well, no message is read, and the close reason is the Code
// (origin-blocked, origin-silent). A page cannot read the answer of a handshake
// that fails, so these two would look to it like an agent that is not there.
const CloseRefused = 4403

// Ports the agent tries in this order; the client opens them side by side.
// Inside the dynamic range of RFC 6335, 6, so no service has them by registration.
var Ports = []int{52310, 52311, 52312, 52313}

// Limits of the link.
const (
	MaxText      = 64 << 10  // bytes in one JSON message
	MaxFrame     = 1 << 20   // bytes in one binary frame
	MaxTotal     = 256 << 20 // bytes of documents in one request, by setting
	MaxDocuments = 100       // documents in one request
	MaxName      = 255       // bytes in a document's name
	MaxMediaType = 127       // bytes in a media type
	MaxID        = 1<<31 - 1 // the largest request id
	ChallengeLen = 32        // bytes in a challenge, before base64
	MaxDER       = 16 << 10  // bytes of a certificate, before base64
	MinNonce     = 44        // characters of a nonce: 32 bytes in base64
	MaxNonce     = 256       // characters of a nonce
	ConsentTime  = 120 * time.Second
	MaxWaiting   = 8 // requests that wait while a consent is open, all origins together
	SilentAfter  = 2 // refusals after which an origin is silent
	SilentFor    = 5 * time.Minute
	// UploadStall ends a signature request whose page sends nothing for so long.
	UploadStall = 30 * time.Second
	// NonceWait is how long the agent waits for a fresh nonce.
	NonceWait = 10 * time.Second
)

// ProofLabel begins what a Proof signs; LinkKeyInfo begins the info of the key's
// derivation (RFC 5869).
const (
	ProofLabel  = "citel-link-v1"
	LinkKeyInfo = "citel-link-key-v1"
)

// Type names a message.
type Type string

// Page to agent.
const (
	TypeHello    Type = "hello"    // version, proof of the link; answered by hello
	TypeLogin    Type = "login"    // make a login token; answered by login
	TypeSign     Type = "sign"     // opens a signature; answered by ready, later signed and done
	TypeDocument Type = "document" // announces one document; its bytes follow in binary frames
	// TypeCertificate asks which certificate may sign a hash; TypeSignHash has it signed.
	// Both are answered under their own name.
	TypeCertificate Type = "certificate"
	TypeSignHash    Type = "sign-hash"
	TypeNonce       Type = "nonce"  // answers a nonce-needed event
	TypeCancel      Type = "cancel" // ends the request of the same id
)

// Agent to page; hello and login answer under their own name.
const (
	TypeReady  Type = "ready"  // the agent waits for the documents
	TypeSigned Type = "signed" // announces one result; its bytes follow in binary frames
	TypeDone   Type = "done"   // a signature request ended well
	TypeError  Type = "error"  // a request, or a message without id, went wrong
	TypeEvent  Type = "event"
)

// TypeDeclaration is reserved for a later version; today it is answered with
// unknown-type.
const TypeDeclaration Type = "declaration"

// Event names.
const (
	EventCard        = "card"         // Card: present or absent; remembered origins only
	EventNonceNeeded = "nonce-needed" // the person asked for more time: send a fresh nonce
	EventWaiting     = "waiting"      // another request's window is open
	EventConsent     = "consent"      // the agent is asking the person now
	EventWorking     = "working"      // the person said yes; the card works
)

// Card states as told to a page.
const (
	CardPresent = "present"
	CardAbsent  = "absent"
)

// Head is what every JSON message has.
type Head struct {
	Type Type `json:"type"`
	// ID is chosen by the page, 1 to MaxID, for each request on a socket greater
	// than the ones before.
	ID int64 `json:"id,omitempty"`
}

// Hello opens a link. An origin that the person has not remembered gets Agent
// and Version only.
type Hello struct {
	Head
	Version int `json:"version"`
	// Challenge is the page's 32 random bytes, standard base64.
	Challenge string `json:"challenge,omitempty"`
}

// HelloReply answers Hello.
type HelloReply struct {
	Head
	Version int    `json:"version"`
	Agent   string `json:"agent"`
	Proof   *Proof `json:"proof,omitempty"`
	Card    string `json:"card,omitempty"`
}

// Proof shows that the same user's agent is at the other end of the socket.
// Signature is ES256 (raw R||S, RFC 7518, 3.4) over
// "citel-link-v1" || 0x00 || origin || 0x00 || challenge (32 bytes).
type Proof struct {
	// Key is the P-256 public key of this user for this origin, as DER
	// SubjectPublicKeyInfo, standard base64. Its SHA-256 in lower-case hex is the
	// fingerprint that a server keeps.
	Key       string `json:"key"`
	Signature string `json:"signature"`
}

// Login asks for a login token over the nonce. The origin is the handshake's.
type Login struct {
	Head
	// Nonce is the server's challenge as base64 text, 44 characters or more.
	Nonce string `json:"nonce"`
	// Expires is when the server forgets the nonce, by the clock of this computer:
	// the page adds the seconds that the server says are left to its own time.
	Expires time.Time `json:"expires"`
	// Challenge, when given, is answered by a Proof together with the token.
	Challenge string `json:"challenge,omitempty"`
	// Language of the page, "it" or "en"; a hint.
	Language string `json:"language,omitempty"`
}

// LoginReply carries the token exactly as it has to reach the server.
type LoginReply struct {
	Head
	Token json.RawMessage `json:"token"`
	// Nonce is the one that the token was made over: a fresh one when the
	// person's time was extended.
	Nonce string `json:"nonce"`
	Proof *Proof `json:"proof,omitempty"`
}

// Nonce answers EventNonceNeeded.
type Nonce struct {
	Head
	Nonce   string    `json:"nonce"`
	Expires time.Time `json:"expires"`
}

// Certificate asks for a certificate whose key signs bare hashes. The person chooses and
// may refuse; login certificates are never given out here.
type Certificate struct {
	Head
	Language string `json:"language,omitempty"`
}

// SignatureAlgorithm is how a hash gets signed, in the words of Web eID's interface.
type SignatureAlgorithm struct {
	CryptoAlgorithm string `json:"cryptoAlgorithm"` // "ECC" or "RSA"
	HashFunction    string `json:"hashFunction"`    // "SHA-256", "SHA-384" or "SHA-512"
	PaddingScheme   string `json:"paddingScheme"`   // "NONE" (ECC) or "PKCS1.5" (RSA)
}

// CertificateReply answers Certificate.
type CertificateReply struct {
	Head
	// Certificate is DER, standard base64.
	Certificate string               `json:"certificate"`
	Algorithms  []SignatureAlgorithm `json:"supportedSignatureAlgorithms"`
}

// SignHash has a hash signed. A certificate whose key can log in gets hash-refused:
// whoever gets a chosen hash signed by such a key can log in as that person anywhere.
type SignHash struct {
	Head
	Certificate string `json:"certificate"` // as CertificateReply gave it
	Hash        string `json:"hash"`        // standard base64
	// HashFunction is "SHA-256", "SHA-384" or "SHA-512".
	HashFunction string `json:"hashFunction"`
	Language     string `json:"language,omitempty"`
}

// SignHashReply answers SignHash.
type SignHashReply struct {
	Head
	// Signature, standard base64: PKCS #1 v1.5 for RSA, R || S for ECC.
	Signature string             `json:"signature"`
	Algorithm SignatureAlgorithm `json:"signatureAlgorithm"`
}

// Sign opens a signature. It names nothing of the documents, so that a program
// that squats the port learns nothing: they follow after Ready and its proof.
type Sign struct {
	Head
	Challenge string `json:"challenge"`
	// Documents is how many will follow.
	Documents int `json:"documents"`
	// Format is "cades", or "pades" for documents that are PDFs.
	Format string `json:"format"`
	// Detached leaves the content out of the signature.
	Detached bool `json:"detached,omitempty"`
	// CodiceFiscale, when given, limits the choice to that person's certificates.
	CodiceFiscale string `json:"codiceFiscale,omitempty"`
	Language      string `json:"language,omitempty"`
}

// Ready answers Sign: the origin may go on (the person was asked where it was
// unknown), and the link is proved.
type Ready struct {
	Head
	Proof Proof `json:"proof"`
}

// Document announces document Index; exactly Size bytes follow in binary frames,
// before the next message that is not a cancel.
type Document struct {
	Head
	Index     int    `json:"index"`
	Name      string `json:"name"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
}

// Signed announces result Index; exactly Size bytes follow in binary frames.
type Signed struct {
	Head
	Index     int    `json:"index"`
	Name      string `json:"name"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
}

// Done ends a signature request. It comes after a consent, so it may name the
// certificate.
type Done struct {
	Head
	Certificate CertificateDetails `json:"certificate"`
}

// CertificateDetails is what a page learns of a certificate after a consent.
type CertificateDetails struct {
	SHA256        string    `json:"sha256"`
	Subject       string    `json:"subject"`
	Issuer        string    `json:"issuer"`
	CodiceFiscale string    `json:"codiceFiscale,omitempty"`
	NotAfter      time.Time `json:"notAfter"`
}

// Cancel ends the request of the same id; the answer is an error "cancelled".
type Cancel struct {
	Head
}

// Event tells a page what goes on. ID is set when it belongs to a request.
type Event struct {
	Head
	Event string `json:"event"`
	Card  string `json:"card,omitempty"`
}

// Error is the answer to a request that did not work.
type Error struct {
	Head
	Code Code `json:"code"`
	// TriesLeft comes with pin-wrong where the card told it.
	TriesLeft *int `json:"triesLeft,omitempty"`
}
