// Package cns is the native driver of the Carta Nazionale dei Servizi and of the
// health card (TS-CNS): certificates, personal data, PIN and signature over the
// card's own commands, without the maker's middleware.
//
// The commands are those of the CNS functional specification 1.1.6 (AgID) as
// real cards and OpenSC's card-itacns speak them; ISO/IEC 7816-4 and -8 name them.
package cns
