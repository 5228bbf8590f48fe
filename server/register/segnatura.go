package register

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
)

// File is a document of a registration.
type File struct {
	Name, MediaType, Title string
	SHA256                 []byte
	Signed, Sealed         bool
}

// Body is the AOO's, as a segnatura names it.
type Body struct {
	Name   string
	Fiscal string // codice fiscale, 11 digits; empty where it is not known
}

// ErrCodes means that a segnatura cannot be written: the body's codes in the Indice PA say
// whose register it is.
var ErrCodes = errors.New("register: the body's IPA code and AOO code are needed for a segnatura")

// Subject is who sent or gets a document: a person, a company, or a body.
type Subject struct {
	Given, Family, Code string // a natural person's
	Company             string // else a company's name, with Code
}

func prot(name string) xml.Name { return xml.Name{Local: "prot:" + name} }

type node struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []node
	Text     string `xml:",chardata"`
}

func el(name string, children ...node) node { return node{XMLName: prot(name), Children: children} }

func leaf(name, text string, attrs ...string) node {
	n := node{XMLName: prot(name), Text: text}
	for i := 0; i+1 < len(attrs); i += 2 {
		n.Attrs = append(n.Attrs, xml.Attr{Name: prot(attrs[i]), Value: attrs[i+1]})
	}
	return n
}

func person(name string, s Subject) node {
	if s.Company != "" {
		p := el("PersonaGiuridica", leaf("Denominazione", s.Company))
		if len(s.Code) == 11 { // the schema has no room for a sole trader's of 16 characters
			p.Children = append(p.Children, leaf("PIVAoCF", s.Code))
		}
		return el(name, p)
	}
	p := el("PersonaFisica", leaf("Nome", s.Given), leaf("Cognome", s.Family))
	if len(s.Code) == 16 {
		p.Children = append(p.Children, leaf("CodiceFiscale", s.Code))
	}
	return el(name, p)
}

func document(name string, f File) node {
	n := el(name, leaf("Descrizione", f.Title), leaf("Impronta", base64.StdEncoding.EncodeToString(f.SHA256), "algoritmo", "SHA-256"))
	if f.Signed {
		n.Children = append(n.Children, el("firmatoDigitalmente", leaf("UnDetached", "true")))
	}
	if f.Sealed {
		n.Children = append(n.Children, el("sigillatoElettronicamente", leaf("UnDetached", "true")))
	}
	n.Attrs = []xml.Attr{{Name: prot("nomeFile"), Value: f.Name}, {Name: prot("mimeType"), Value: f.MediaType}}
	return n
}

// Segnatura writes the registration as the AgID's guidelines on documents have it (annex
// 6, segnatura_protocollo.xsd 3.0.0; DPR 445/2000, art. 55): header and description. The
// schema wants a XAdES-B-B signature as the last element besides (seal.Desk.SignXML).
func Segnatura(e *Entry, body Body, topic string, sender Subject, files []File) ([]byte, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("register: %s has no document", e.Number)
	}
	if e.IPA == "" || e.AOO == "" {
		return nil, ErrCodes
	}
	local := e.Time.In(rome)
	pa := el("Amministrazione", leaf("DenominazioneAmministrazione", body.Name))
	if body.Fiscal != "" {
		pa.Children = append(pa.Children, leaf("CFAmministrazione", body.Fiscal))
	}
	pa.Children = append(pa.Children, leaf("CodiceIPAAmministrazione", e.IPA), leaf("CodiceIPAAOO", e.AOO))
	from, to := person("Mittente", sender), el("Destinatario", pa)
	if e.Direction == Out {
		from, to = el("Mittente", pa), person("Destinatario", sender)
	}
	description := el("Descrizione", from, to, document("DocumentoPrimario", files[0]))
	for _, f := range files[1:] {
		description.Children = append(description.Children, document("Allegato", f))
	}
	root := el("SegnaturaInformatica",
		el("Intestazione",
			el("Identificatore", leaf("CodiceAmministrazione", e.IPA), leaf("CodiceAOO", e.AOO), leaf("CodiceRegistro", e.Registry),
				leaf("NumeroRegistrazione", fmt.Sprintf("%07d", e.Number.Number)), leaf("DataRegistrazione", local.Format("2006-01-02")), leaf("OraRegistrazione", local.Format("15:04:05"))),
			leaf("Oggetto", e.Subject),
			el("Classifica", leaf("Denominazione", topic), leaf("CodiceFlat", topic))),
		description)
	root.Attrs = []xml.Attr{{Name: xml.Name{Local: "xmlns:prot"}, Value: "http://www.agid.gov.it/protocollo/"},
		{Name: prot("versione"), Value: "3.0.0"}, {Name: prot("lang"), Value: "it"}}
	out, err := xml.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	return append([]byte(xml.Header), out...), nil
}
