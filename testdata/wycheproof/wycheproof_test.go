// Package wycheproof runs Project Wycheproof's vectors against what CiTel verifies
// signature values with. It is a module of its own: the vectors are large.
package wycheproof

import (
	"crypto"
	_ "crypto/sha256" // the hashes of the vectors
	_ "crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/cms"
)

type file struct {
	Groups []struct {
		Type  string `json:"type"`
		Hash  string `json:"sha"`
		Mask  string `json:"mgfSha"`
		Salt  int    `json:"sLen"`
		Key   string `json:"publicKeyDer"`
		Tests []struct {
			ID      int      `json:"tcId"`
			Comment string   `json:"comment"`
			Flags   []string `json:"flags"`
			Message string   `json:"msg"`
			Value   string   `json:"sig"`
			Result  string   `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

var hashes = map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}

// jwa names the token's algorithm for a curve and its hash.
var jwa = map[string]string{"secp256r1_sha256": "ES256", "secp384r1_sha384": "ES384", "secp521r1_sha512": "ES512"}

func load(t *testing.T, name string) file {
	t.Helper()
	data, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func names(t *testing.T, prefixes ...string) []string {
	t.Helper()
	all, err := fs.Glob(wycheproof.TestVectors, "*_test.json")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(n string) bool {
		return !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(n, p) })
	})
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run gives every vector whose hash is in use to verify and compares the answers.
// "acceptable" vectors (a DigestInfo without its NULL) have to be refused here:
// in a file they end in a report of their own, never in a valid signature.
func run(t *testing.T, files []string, verify func(name, group string, salt int, hash crypto.Hash, key crypto.PublicKey, digest, value []byte) (ok, known bool)) {
	t.Helper()
	count := 0
	for _, name := range files {
		for _, g := range load(t, name).Groups {
			hash, inUse := hashes[g.Hash]
			if !inUse || g.Mask != "" && g.Mask != g.Hash {
				continue
			}
			key, err := cms.PublicKey(unhex(t, g.Key))
			if err != nil {
				t.Errorf("%s: the key: %v", name, err)
				continue
			}
			for _, v := range g.Tests {
				h := hash.New()
				h.Write(unhex(t, v.Message))
				ok, known := verify(name, g.Type, g.Salt, hash, key, h.Sum(nil), unhex(t, v.Value))
				if !known {
					continue
				}
				count++
				if want := v.Result == "valid"; ok != want {
					t.Errorf("%s %d (%s, %v): %v, want %v", name, v.ID, v.Comment, v.Flags, ok, want)
				}
			}
		}
	}
	t.Logf("%d vectors", count)
	if count == 0 {
		t.Error("no vector was run")
	}
}

// What a CMS signature value is verified with.
func TestCMS(t *testing.T) {
	for scheme, prefixes := range map[string][]string{
		"RSA":     {"rsa_signature_2048_", "rsa_signature_3072_", "rsa_signature_4096_"},
		"RSA-PSS": {"rsa_pss_2048_", "rsa_pss_3072_", "rsa_pss_4096_", "rsa_pss_misc"},
		"ECDSA":   {"ecdsa_secp256r1_", "ecdsa_secp384r1_", "ecdsa_secp521r1_"},
	} {
		t.Run(scheme, func(t *testing.T) {
			run(t, names(t, prefixes...), func(_, group string, salt int, hash crypto.Hash, key crypto.PublicKey, digest, value []byte) (bool, bool) {
				if strings.Contains(group, "P1363") {
					return false, false
				}
				s := cms.Scheme{Name: scheme, Hash: hash, Salt: salt}
				return s.Verify(key, digest, value) == nil, true
			})
		})
	}
}

// What a login token's signature is verified with.
func TestToken(t *testing.T) {
	run(t, names(t, "ecdsa_secp256r1_sha256_p1363", "ecdsa_secp384r1_sha384_p1363", "ecdsa_secp521r1_sha512_p1363"),
		func(name, _ string, _ int, _ crypto.Hash, key crypto.PublicKey, digest, value []byte) (bool, bool) {
			curve := strings.TrimSuffix(strings.TrimPrefix(name, "ecdsa_"), "_p1363_test.json")
			return authtoken.VerifyDigest(jwa[curve], key, digest, value), true
		})
	run(t, names(t, "rsa_signature_2048_", "rsa_signature_3072_", "rsa_signature_4096_"),
		func(_, _ string, _ int, hash crypto.Hash, key crypto.PublicKey, digest, value []byte) (bool, bool) {
			return authtoken.VerifyDigest("RS"+hash.String()[4:], key, digest, value), true
		})
	run(t, names(t, "rsa_pss_2048_", "rsa_pss_3072_", "rsa_pss_4096_"),
		func(_, _ string, salt int, hash crypto.Hash, key crypto.PublicKey, digest, value []byte) (bool, bool) {
			// RFC 7518, 3.5: the salt is as long as the hash.
			return authtoken.VerifyDigest("PS"+hash.String()[4:], key, digest, value), salt == hash.Size()
		})
}
