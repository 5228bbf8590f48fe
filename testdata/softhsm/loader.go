package softhsm

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // an identifier, as cards have it
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"

	"github.com/miekg/pkcs11" //nolint:depguard // makes tokens; pkcs/token only uses them

	"github.com/citel-pa/citel/testdata/pki"
)

// loadVariable in the environment turns the program into the loader.
const loadVariable = "CITEL_TEST_SOFTHSM_LOAD"

// order is what the loader gets on standard input; answer what it gives back.
type order struct {
	Module             string
	Label, PIN, SOPIN  string
	AlwaysAuthenticate bool
	Items              []item
}

// item is a key with its certificate, or a certificate alone. Values are ready
// for PKCS#11: big-endian numbers, DER.
type item struct {
	Label                         string
	ID                            []byte
	N, E, D, P, Q, DP, DQ, QInv   []byte // RSA
	Curve, Point, Scalar          []byte // EC
	Cert, Subject, Issuer, Serial []byte
}

type answer struct {
	Slot   uint
	Serial string
}

func init() { //nolint:gochecknoinits // any program that makes tokens can be its own loader
	if os.Getenv(loadVariable) == "" {
		return
	}
	a, err := loadOrder()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(a)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func orderItem(id *pki.Identity, t Token) (item, error) {
	i := item{Label: id.Who.Given + " " + id.Who.Surname}
	spki, err := x509.MarshalPKIXPublicKey(id.Key.Public())
	if err != nil {
		return item{}, err
	}
	var info struct {
		Algorithm asn1.RawValue
		Bits      asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		return item{}, err
	}
	sum := sha1.Sum(info.Bits.Bytes) //nolint:gosec // an identifier
	i.ID = sum[:]
	switch key := id.Key.(type) {
	case *rsa.PrivateKey:
		key.Precompute()
		i.N, i.E, i.D = key.N.Bytes(), big.NewInt(int64(key.E)).Bytes(), key.D.Bytes()
		i.P, i.Q = key.Primes[0].Bytes(), key.Primes[1].Bytes()
		i.DP, i.DQ, i.QInv = key.Precomputed.Dp.Bytes(), key.Precomputed.Dq.Bytes(), key.Precomputed.Qinv.Bytes()
	case *ecdsa.PrivateKey:
		var curve struct{ Type, Curve asn1.ObjectIdentifier }
		if _, err := asn1.Unmarshal(info.Algorithm.FullBytes, &curve); err != nil {
			return item{}, err
		}
		if i.Curve, err = asn1.Marshal(curve.Curve); err != nil {
			return item{}, err
		}
		if i.Point, err = asn1.Marshal(info.Bits.Bytes); err != nil {
			return item{}, err
		}
		if i.Scalar, err = key.Bytes(); err != nil {
			return item{}, err
		}
	default:
		return item{}, fmt.Errorf("softhsm: a key of type %T", id.Key)
	}
	if !t.NoCertificate {
		i.Cert, i.Subject, i.Issuer, i.Serial = id.Cert.Raw, id.Cert.RawSubject, id.Cert.RawIssuer, serialDER(id.Cert)
	}
	return i, nil
}

func serialDER(c *x509.Certificate) []byte {
	der, err := asn1.Marshal(c.SerialNumber)
	if err != nil {
		panic(err) // a number always has DER
	}
	return der
}

func loadOrder() (a answer, err error) {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return a, err
	}
	ctx := pkcs11.New(o.Module)
	if ctx == nil {
		return a, fmt.Errorf("softhsm: %s does not load", o.Module)
	}
	if err := ctx.Initialize(); err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, ctx.Finalize()) }()
	slot, err := emptySlot(ctx)
	if err != nil {
		return a, err
	}
	if err := ctx.InitToken(slot, o.SOPIN, o.Label); err != nil {
		return a, fmt.Errorf("C_InitToken: %w", err)
	}
	sess, err := ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return a, err
	}
	if err := ctx.Login(sess, pkcs11.CKU_SO, o.SOPIN); err != nil {
		return a, fmt.Errorf("C_Login: %w", err)
	}
	if err := ctx.InitPIN(sess, o.PIN); err != nil {
		return a, fmt.Errorf("C_InitPIN: %w", err)
	}
	if err := ctx.Logout(sess); err != nil {
		return a, err
	}
	if err := ctx.Login(sess, pkcs11.CKU_USER, o.PIN); err != nil {
		return a, fmt.Errorf("C_Login: %w", err)
	}
	for _, i := range o.Items {
		for _, template := range i.objects(o.AlwaysAuthenticate) {
			if _, err := ctx.CreateObject(sess, template); err != nil {
				return a, fmt.Errorf("C_CreateObject: %w", err)
			}
		}
	}
	info, err := ctx.GetTokenInfo(slot)
	if err != nil {
		return a, err
	}
	// From the next C_Initialize on, SoftHSM derives the slot's number from the
	// token's serial number: what is told here has to hold for others.
	if err := errors.Join(ctx.Finalize(), ctx.Initialize()); err != nil {
		return a, err
	}
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return a, err
	}
	for _, s := range slots {
		if other, err := ctx.GetTokenInfo(s); err == nil && other.SerialNumber == info.SerialNumber {
			return answer{Slot: s, Serial: info.SerialNumber}, nil
		}
	}
	return a, errors.New("softhsm: the new token is not there")
}

func emptySlot(ctx *pkcs11.Ctx) (uint, error) {
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, s := range slots {
		info, err := ctx.GetTokenInfo(s)
		if err == nil && info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			return s, nil
		}
	}
	return 0, errors.New("softhsm: no empty slot")
}

// objects are the templates for C_CreateObject.
func (i item) objects(always bool) [][]*pkcs11.Attribute {
	attr := pkcs11.NewAttribute
	var list [][]*pkcs11.Attribute
	private := []*pkcs11.Attribute{
		attr(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), attr(pkcs11.CKA_TOKEN, true), attr(pkcs11.CKA_PRIVATE, true),
		attr(pkcs11.CKA_SENSITIVE, true), attr(pkcs11.CKA_EXTRACTABLE, false), attr(pkcs11.CKA_SIGN, true),
		attr(pkcs11.CKA_ALWAYS_AUTHENTICATE, always), attr(pkcs11.CKA_ID, i.ID), attr(pkcs11.CKA_LABEL, i.Label),
	}
	public := []*pkcs11.Attribute{
		attr(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), attr(pkcs11.CKA_TOKEN, true), attr(pkcs11.CKA_PRIVATE, false),
		attr(pkcs11.CKA_VERIFY, true), attr(pkcs11.CKA_ID, i.ID), attr(pkcs11.CKA_LABEL, i.Label),
	}
	switch {
	case i.N != nil:
		private = append(private, attr(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA), attr(pkcs11.CKA_MODULUS, i.N), attr(pkcs11.CKA_PUBLIC_EXPONENT, i.E),
			attr(pkcs11.CKA_PRIVATE_EXPONENT, i.D), attr(pkcs11.CKA_PRIME_1, i.P), attr(pkcs11.CKA_PRIME_2, i.Q),
			attr(pkcs11.CKA_EXPONENT_1, i.DP), attr(pkcs11.CKA_EXPONENT_2, i.DQ), attr(pkcs11.CKA_COEFFICIENT, i.QInv))
		public = append(public, attr(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA), attr(pkcs11.CKA_MODULUS, i.N), attr(pkcs11.CKA_PUBLIC_EXPONENT, i.E))
	case i.Scalar != nil:
		private = append(private, attr(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC), attr(pkcs11.CKA_EC_PARAMS, i.Curve), attr(pkcs11.CKA_VALUE, i.Scalar))
		public = append(public, attr(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC), attr(pkcs11.CKA_EC_PARAMS, i.Curve), attr(pkcs11.CKA_EC_POINT, i.Point))
	}
	if i.N != nil || i.Scalar != nil {
		list = append(list, private, public)
	}
	if i.Cert != nil {
		list = append(list, []*pkcs11.Attribute{
			attr(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), attr(pkcs11.CKA_TOKEN, true), attr(pkcs11.CKA_PRIVATE, false),
			attr(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509), attr(pkcs11.CKA_ID, i.ID), attr(pkcs11.CKA_LABEL, i.Label),
			attr(pkcs11.CKA_SUBJECT, i.Subject), attr(pkcs11.CKA_ISSUER, i.Issuer), attr(pkcs11.CKA_SERIAL_NUMBER, i.Serial),
			attr(pkcs11.CKA_VALUE, i.Cert),
		})
	}
	return list
}
