package cie

import (
	"encoding/hex"
	"math/big"
)

// roleExponent is the private exponent of the role key that lets a terminal
// present itself to any CIE. It is no secret: the State publishes it in
// github.com/italia/cie-middleware-linux, cie-pkcs11/CSP/ExtAuthKey.cpp
// (ExtAuth_PrivExp). The modulus and the public exponent come from the card.
//
// It gives access to nothing that the PIN protects. What protects the person
// against a card that is not genuine is the chip's own authentication.
const roleExponent = "186B31488C25DCF85D953D3630C0D073BA1C6AA24581AD254F3B6719C5D72CCA" +
	"3E5CDC5A1E5316578D75954FF73B237B532C9F8DE4A2C4C911385A23E63E33E4" +
	"7EE45E66EFD49B18E02CFF87598C39109E8F86A66BC330249CE3FCAD655DCDBF" +
	"98C9C5E479321AF53B517D041061880A647BBE0FF813683470E6C50094CE81D0" +
	"64E204E351BD3AE0A7947D8E91C3FD5C0A15233C349A5215A4E66E21C5D33498" +
	"E71991EA24473B29F1475F6FD9BE3996E19BD474FAD1B41EA0DCD2FC16C9BFFA" +
	"071BFEC1B22415184811C1985FBFE3E7B4F44A4B3C8DFAB4D90CECFC5E608D67" +
	"3E6762C62CB798341271149BA688162EC7D0E3468F65A94AB4AD1AB67E37BFC1"

// RoleExponent is roleExponent as a number.
func RoleExponent() *big.Int {
	b, err := hex.DecodeString(roleExponent)
	if err != nil {
		panic(err) // a constant
	}
	return new(big.Int).SetBytes(b)
}
