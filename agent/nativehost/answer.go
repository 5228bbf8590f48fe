package nativehost

import (
	"errors"

	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/message"
)

// Error codes of Web eID's library that this program answers with.
const (
	errNativeFatal     = "ERR_WEBEID_NATIVE_FATAL"
	errInvalidArgument = "ERR_WEBEID_NATIVE_INVALID_ARGUMENT"
	errUserCancelled   = "ERR_WEBEID_USER_CANCELLED"
	errUserTimeout     = "ERR_WEBEID_USER_TIMEOUT"
	errContextInsecure = "ERR_WEBEID_CONTEXT_INSECURE"
	errActionPending   = "ERR_WEBEID_ACTION_PENDING"
)

// codes says it in Web eID's words; what is missing is errNativeFatal.
var codes = map[wire.Code]string{
	wire.CodeMalformed: errInvalidArgument, wire.CodeUnknownType: errInvalidArgument, wire.CodeTooLarge: errInvalidArgument,
	wire.CodeNonceInvalid: errInvalidArgument, wire.CodeHashRefused: errInvalidArgument,
	wire.CodeOriginRefused: errContextInsecure,
	wire.CodeRefused:       errUserCancelled, wire.CodeCancelled: errUserCancelled, wire.CodeOriginBlocked: errUserCancelled, wire.CodeOriginSilent: errUserCancelled,
	wire.CodeTimedOut: errUserTimeout,
	wire.CodeBusy:     errActionPending,
}

// failure is an error as the extension takes it. It hands further fields on to the page,
// so that our own client can say the same as over the WebSocket.
type failure struct {
	Code      string    `json:"code"`
	Message   string    `json:"message"` // for the site's developer, English
	CiTel     wire.Code `json:"citel"`
	TriesLeft *int      `json:"triesLeft,omitempty"`
}

func codeOf(err error) (wire.Code, *int) {
	if c, ok := errors.AsType[*codeError](err); ok {
		return c.code, nil
	}
	if errors.Is(err, ErrCaller) {
		return wire.CodeUserRefused, nil
	}
	return signing.Code(err)
}

func failed(err error) any {
	code, tries := codeOf(err)
	f := failure{Code: codes[code], Message: message.Text(message.English, "wire."+string(code)), CiTel: code, TriesLeft: tries}
	if f.Code == "" {
		f.Code = errNativeFatal
	}
	if c, ok := errors.AsType[*codeError](err); ok && c.why != "" {
		f.Message += " (" + c.why + ")"
	}
	if errors.Is(err, ErrCaller) {
		f.Message = message.Text(message.English, "native.caller")
	}
	return map[string]failure{"error": f}
}

type certificateAnswer struct {
	Certificate string                    `json:"certificate"`
	Algorithms  []wire.SignatureAlgorithm `json:"supportedSignatureAlgorithms"`
}

type signAnswer struct {
	Signature string                  `json:"signature"`
	Algorithm wire.SignatureAlgorithm `json:"signatureAlgorithm"`
}

func algorithmOf(a signing.Algorithm) wire.SignatureAlgorithm {
	return wire.SignatureAlgorithm{CryptoAlgorithm: a.Crypto, HashFunction: a.Hash, PaddingScheme: a.Padding}
}
