package person

import (
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/citel-pa/citel/pkcs/profile"
)

// Form is the censimento: what a desk writes down of somebody who stands before it. The
// console's form for operators is the same.
type Form struct {
	Code        string `json:"code"`   // codice fiscale
	Family      string `json:"family"` //
	Given       string `json:"given"`
	Born        string `json:"born"`                 // gg-mm-aaaa
	BirthPlace  string `json:"birthPlace,omitempty"` // a municipality, or
	BirthState  string `json:"birthState,omitempty"` // a foreign state
	Sex         string `json:"sex"`                  // M, F
	Residence   string `json:"residence,omitempty"`
	Town        string `json:"town,omitempty"`
	CAP         string `json:"cap,omitempty"`
	Phone       string `json:"phone,omitempty"`
	OfficePhone string `json:"officePhone,omitempty"`
	Email       string `json:"email,omitempty"`
	// Professional: acts as one (the ente's switches tell the categories apart).
	Professional bool `json:"professional,omitempty"`
	// Reason why what does not fit the code is right all the same; asked for when Check
	// gives warnings.
	Reason string `json:"reason,omitempty"`
}

// Company is the form of an azienda; the representative is a person with the title.
type Company struct {
	Code           string `json:"code"` // codice fiscale: eleven digits, or a sole trader's sixteen characters
	Name           string `json:"name"`
	Seat           string `json:"seat"`
	VAT            string `json:"vat"` // partita IVA
	PEC            string `json:"pec"`
	Title          string `json:"title"` // what makes the representative one
	Representative Form   `json:"representative"`
}

// Errors of a form: field -> code, whose sentence is "desk.<code>".
type Errors map[string]string

// BornLayout is how the desk writes a date.
const BornLayout = "02-01-2006"

var (
	capForm   = regexp.MustCompile(`^[0-9]{5}$`)
	phoneForm = regexp.MustCompile(`^\+?[0-9 ()./-]{5,20}$`)
)

// Check cleans a form and tells what is wrong with it (errs, which block) and what does
// not fit together (warnings, which want a reason). Codes of warnings: "warn-family",
// "warn-given", "warn-born", "warn-sex", "warn-place", "warn-state", "warn-provisional",
// "warn-single-name"; a code with omocodia is as good as any and gives none.
func (f Form) Check(now time.Time) (clean Form, errs Errors, warnings []string) {
	errs = Errors{}
	for _, x := range []*string{&f.Code, &f.Family, &f.Given, &f.Born, &f.BirthPlace, &f.BirthState, &f.Sex, &f.Residence, &f.Town, &f.CAP, &f.Phone, &f.OfficePhone, &f.Email, &f.Reason} {
		*x = tidy(*x)
	}
	f.Sex = strings.ToUpper(f.Sex)
	for _, x := range []struct {
		name, value string
		most        int
		required    bool
	}{
		{"code", f.Code, 16, true}, {"family", f.Family, 60, f.Given == ""}, {"given", f.Given, 60, false}, {"born", f.Born, 10, true},
		{"birthPlace", f.BirthPlace, 80, f.BirthState == ""}, {"birthState", f.BirthState, 80, false}, {"sex", f.Sex, 1, true},
		{"residence", f.Residence, 120, false}, {"town", f.Town, 80, false}, {"cap", f.CAP, 5, false}, {"phone", f.Phone, 20, false},
		{"officePhone", f.OfficePhone, 20, false}, {"email", f.Email, 120, false}, {"reason", f.Reason, 300, false},
	} {
		switch {
		case x.value == "" && x.required:
			errs[x.name] = "required"
		case utf8.RuneCountInString(x.value) > x.most:
			errs[x.name] = "long"
		}
	}
	if f.CAP != "" && !capForm.MatchString(f.CAP) {
		errs["cap"] = "cap"
	}
	for name, v := range map[string]string{"phone": f.Phone, "officePhone": f.OfficePhone} {
		if v != "" && !phoneForm.MatchString(v) {
			errs[name] = "phone"
		}
	}
	if f.Email != "" && !IsEmail(f.Email) {
		errs["email"] = "email"
	}
	if f.Sex != "" && f.Sex != "M" && f.Sex != "F" {
		errs["sex"] = "sex"
	}
	born, err := time.Parse(BornLayout, f.Born)
	if f.Born != "" && (err != nil || born.After(now) || now.Year()-born.Year() > 130) {
		errs["born"] = "date"
	}
	if f.Code != "" {
		cf, err := profile.ParseCodiceFiscale(f.Code)
		if err != nil {
			errs["code"] = "codice-fiscale"
			return f, errs, nil
		}
		f.Code = string(cf)
		if len(errs) == 0 {
			warnings = f.coherence(cf, born, now)
		}
	}
	if len(warnings) > 0 && f.Reason == "" {
		errs["reason"] = "reason"
	}
	return f, errs, warnings
}

// coherence compares the code with the data. Families with one name only have it in the
// family's place (DM 23/12/1976 n. 13813), or both in one field.
func (f Form) coherence(cf profile.CodiceFiscale, born, now time.Time) (out []string) {
	if f.Family == "" || f.Given == "" {
		out = append(out, "warn-single-name")
	}
	if cf.Provisional() {
		return append(out, "warn-provisional")
	}
	family, given := cf.Names()
	if f.Family != "" && profile.FamilyCode(f.Family) != family && profile.FamilyCode(written(f.Family)) != family {
		out = append(out, "warn-family")
	}
	if f.Given != "" && profile.GivenCode(f.Given) != given && profile.GivenCode(written(f.Given)) != given {
		out = append(out, "warn-given")
	}
	// The code has two digits of the year: a hundred years are the same.
	if b := cf.Born(now); b.Format("0201") != born.Format("0201") || b.Year()%100 != born.Year()%100 {
		out = append(out, "warn-born")
	}
	if cf.Female() != (f.Sex == "F") {
		out = append(out, "warn-sex")
	}
	abroad := strings.HasPrefix(cf.BirthPlace(), "Z")
	if abroad && f.BirthState == "" {
		out = append(out, "warn-state")
	}
	if !abroad && f.BirthPlace == "" {
		out = append(out, "warn-place")
	}
	return out
}

// written is how the Agenzia delle Entrate has written ö and the like since 2011 (circolare
// 34/E); codes of before leave the dots out, and both are right.
func written(name string) string {
	return strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "Ä", "AE", "Ö", "OE", "Ü", "UE").Replace(name)
}

// Check cleans a company's form; the representative's errors have the prefix
// "representative.".
func (c Company) Check(now time.Time) (clean Company, errs Errors, warnings []string) {
	errs = Errors{}
	for _, x := range []*string{&c.Code, &c.Name, &c.Seat, &c.VAT, &c.PEC, &c.Title} {
		*x = tidy(*x)
	}
	for name, v := range map[string]string{"company.code": c.Code, "company.name": c.Name, "company.seat": c.Seat, "company.vat": c.VAT, "company.title": c.Title} {
		switch {
		case v == "":
			errs[name] = "required"
		case utf8.RuneCountInString(v) > 150:
			errs[name] = "long"
		}
	}
	if cf, err := profile.ParseCodiceFiscale(c.Code); err == nil {
		c.Code = string(cf)
	} else if c.Code != "" {
		errs["company.code"] = "codice-fiscale"
	}
	c.VAT = strings.TrimPrefix(strings.ToUpper(strings.ReplaceAll(c.VAT, " ", "")), "IT")
	if vat, err := profile.ParseCodiceFiscale(c.VAT); c.VAT != "" && (err != nil || !vat.Provisional()) {
		errs["company.vat"] = "vat" // a partita IVA has eleven digits and the same check digit
	}
	if c.PEC != "" && !IsEmail(c.PEC) {
		errs["company.pec"] = "email"
	}
	var of Errors
	c.Representative, of, warnings = c.Representative.Check(now)
	for k, v := range of {
		errs["representative."+k] = v
	}
	return c, errs, warnings
}

// IsEmail tells whether a text is an address and nothing else.
func IsEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 120 && strings.Contains(s[strings.LastIndex(s, "@")+1:], ".")
}

// tidy takes control characters away, and spaces around and twice.
func tidy(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}
