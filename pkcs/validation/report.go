package validation

import (
	"encoding/json"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
)

// Report is the machine's form of results, the same for every command
// (`verify --json`): field names are a promise.
type Report struct {
	Signatures []Signature `json:"signatures"`
}

// Signature is one signature in a report.
type Signature struct {
	Format        string        `json:"format"`
	Level         string        `json:"level"` // CMS, B-B, B-T, B-LT, B-LTA
	Indication    Indication    `json:"indication"`
	SubIndication SubIndication `json:"subIndication"`
	// SigningTime is the signer's claim, null without one.
	SigningTime *time.Time `json:"signingTime"`
	// BestSignatureTime is the earliest time at which the signature is proved to
	// have existed: the validation's time without a time-stamp.
	BestSignatureTime time.Time       `json:"bestSignatureTime"`
	Signer            Signer          `json:"signer"`
	Kind              string          `json:"kind"`
	Messages          []Message       `json:"messages"`
	Content           ReportedContent `json:"content"`
	Policy            string          `json:"policy"`
	// Nested: how many envelopes are around this one.
	Nested     int         `json:"nested,omitempty"`
	Timestamps []Timestamp `json:"timestamps,omitempty"`
	// Counter are the counter-signatures.
	Counter []Signature `json:"counterSignatures,omitempty"`
	// PDF is there for a signature in a PDF.
	PDF *ReportedPDF `json:"pdf,omitempty"`
}

// ReportedPDF is where in a PDF a signature stands, and what came after it.
type ReportedPDF struct {
	Field     string `json:"field"`
	SubFilter string `json:"subFilter"`
	// Revision is the one that was signed, from 1; Revisions is how many the file has.
	Revision  int  `json:"revision"`
	Revisions int  `json:"revisions"`
	Whole     bool `json:"coversWholeDocument"`
	// Certification is P of DocMDP, 1 to 3; 0 without one.
	Certification int         `json:"certification,omitempty"`
	Changes       []PDFChange `json:"changes,omitempty"`
}

// Timestamp in a report.
type Timestamp struct {
	Kind          string        `json:"kind"`
	Time          time.Time     `json:"time"`
	Indication    Indication    `json:"indication"`
	SubIndication SubIndication `json:"subIndication"`
	Messages      []Message     `json:"messages,omitempty"`
}

// Signer in a report; CodiceFiscale is empty where it does not count.
type Signer struct {
	Subject       string `json:"subject"`
	CodiceFiscale string `json:"codiceFiscale"`
	Serial        string `json:"serial"`
}

// Message is a finding for people.
type Message struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Text   string `json:"text"`
	Clause string `json:"clause,omitempty"`
}

// ReportedContent is what was signed.
type ReportedContent struct {
	// File is the one that the signature fits, where several contents were given.
	File   string `json:"file,omitempty"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Signature writes a result down in a language.
func (r *Result) Signature(lang message.Lang) Signature {
	f := r.Facts
	s := Signature{
		Format: f.Format, Level: f.Level, Indication: r.Indication, SubIndication: r.SubIndication,
		BestSignatureTime: r.BestSignatureTime.UTC(), Nested: f.Nested, Kind: r.Kind(), Messages: []Message{}, Policy: r.Policy,
		Signer: Signer{Subject: f.Identity.Subject, CodiceFiscale: f.Identity.CodiceFiscale, Serial: f.Identity.Serial},
	}
	if p := f.PDF; p != nil {
		s.PDF = &ReportedPDF{Field: p.Field, SubFilter: p.SubFilter, Revision: p.Revision, Revisions: p.Revisions,
			Whole: p.Whole, Certification: p.Permissions, Changes: p.Changes}
	}
	if t := f.Attribute.SigningTime; t != nil {
		u := t.UTC()
		s.SigningTime = &u
	}
	if f.Content.Found {
		s.Content = ReportedContent{File: f.Content.Name, SHA256: hexOf(f.Content.SHA256), Bytes: f.Content.Bytes}
	}
	s.Messages = messages(s.Messages, r.Findings, lang)
	for _, t := range r.Timestamps {
		s.Timestamps = append(s.Timestamps, Timestamp{Kind: t.Facts.Kind, Time: t.Facts.GenTime.UTC(), Indication: t.Indication,
			SubIndication: t.SubIndication, Messages: messages(nil, t.Findings, lang)})
	}
	for _, c := range r.Counter {
		s.Counter = append(s.Counter, c.Signature(lang))
	}
	return s
}

func messages(out []Message, findings []Finding, lang message.Lang) []Message {
	for _, x := range findings {
		out = append(out, Message{Check: x.Check, Level: x.Level, Text: x.Text(lang), Clause: x.Clause})
	}
	return out
}

// NewReport writes results down in a language.
func NewReport(results []*Result, lang message.Lang) *Report {
	r := &Report{Signatures: []Signature{}}
	for _, x := range results {
		r.Signatures = append(r.Signatures, x.Signature(lang))
	}
	return r
}

// JSON is the report as one indented document.
func (r *Report) JSON() ([]byte, error) { return json.MarshalIndent(r, "", "  ") }
