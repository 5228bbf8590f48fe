// Package cie reads and uses the Italian electronic identity card (CIE 3.0)
// without the Ministry's middleware, at the contacts and over the antenna.
//
// The card's application for online services is IAS ECC (Gixel, "European Card for
// e-Services and National e-ID applications", technical specification 1.0.1). Every
// use goes the same way: Diffie-Hellman key agreement (agree.go), mutual device
// authentication by certificates (terminal.go), and from then on secure messaging
// (channel.go; ISO/IEC 7816-4, 10). What the CIE does with it was read in the
// source of the State's own middleware, github.com/italia/cie-middleware-linux
// (cie-pkcs11/CSP/IAS.cpp), which is what "IAS.cpp" means in the comments here.
package cie
