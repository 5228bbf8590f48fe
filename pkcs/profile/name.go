package profile

import (
	"crypto/x509/pkix"
	"fmt"
	"strings"
)

// labels name the attribute types in Italian certificates.
var labels = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.42": "GN", "2.5.4.46": "dnQualifier",
	"2.5.4.97": "organizationIdentifier",
}

// escaped marks what separates the parts of a name.
var escaped = strings.NewReplacer(`\`, `\\`, ",", `\,`, "+", `\+`)

// DistinguishedName writes a name for people and logs, the most specific part
// first. It is not meant to be parsed again.
func DistinguishedName(n pkix.Name) string {
	parts := make([]string, 0, len(n.Names))
	for i := len(n.Names) - 1; i >= 0; i-- {
		label := n.Names[i].Type.String()
		if l, ok := labels[label]; ok {
			label = l
		}
		value := fmt.Sprint(n.Names[i].Value)
		value = escaped.Replace(value)
		parts = append(parts, label+"="+value)
	}
	return strings.Join(parts, ",")
}
