package profile

import (
	"crypto/x509/pkix"
	"fmt"
	"strings"
)

// Called is what a name's holder is called in a sentence: given name and surname where
// both are there (in Italian certificates of persons the common name is a number), else
// common name, else organisation. What a stranger's certificate says may be anything.
func Called(n pkix.Name) string {
	var given, surname string
	for _, a := range n.Names {
		switch a.Type.String() {
		case "2.5.4.42":
			given = fmt.Sprint(a.Value)
		case "2.5.4.4":
			surname = fmt.Sprint(a.Value)
		}
	}
	switch {
	case given != "" && surname != "":
		return given + " " + surname
	case strings.TrimSpace(n.CommonName) != "":
		return n.CommonName
	case len(n.Organization) > 0:
		return n.Organization[0]
	}
	return DistinguishedName(n)
}
