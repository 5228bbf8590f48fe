package main

import (
	"io/fs"
	"path"

	"github.com/citel-pa/citel/agent/worker"
)

// family is a maker's module and the places where its installer puts it.
type family struct {
	name  string
	paths []string
}

// Places of Linux distributions, for modules that come as packages.
func places(files ...string) []string {
	var all []string
	for _, file := range files {
		for _, dir := range []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib",
			"/usr/lib/x86_64-linux-gnu/pkcs11", "/usr/lib64/pkcs11", "/usr/lib/pkcs11", "/usr/lib/bit4id", "/usr/local/lib/bit4id"} {
			all = append(all, path.Join(dir, file))
		}
	}
	return all
}

// knownModules are the makers of cards that Italian citizens have, in the order they
// are asked. They are for cards that CiTel does not read by itself, and only files
// that are installed are started. Paths are as the makers' installers and public
// configuration lists have them; OpenSC's on Debian is tested here.
var knownModules = map[string][]family{
	"linux": {
		{"OpenSC", places("opensc-pkcs11.so")},
		{"Bit4id", places("libbit4xpki.so")},
		{"Bit4id (Oberthur, IDEMIA)", places("libbit4opki.so")},
		{"Bit4id (Incard)", places("libbit4ipki.so")},
		{"STMicroelectronics", places("libstpkcs11.so")},
		{"CIE", places("libcie-pkcs11.so")},
		{"Athena", append([]string{"/usr/lib/x64-athena/libASEP11.so"}, places("libASEP11.so")...)},
		{"IDEMIA AWP", append([]string{"/usr/local/AWP/lib/libOcsCryptoki.so"}, places("libOcsCryptoki.so")...)},
		{"Idopte", append([]string{"/usr/lib/SCMiddleware/libidop11.so"}, places("libidop11.so")...)},
		{"SafeNet", places("libeTPkcs11.so", "libIDPrimePKCS11.so")},
	},
	"windows": {
		{"OpenSC", []string{`C:/Program Files/OpenSC Project/OpenSC/pkcs11/opensc-pkcs11.dll`}},
		{"Bit4id", []string{`C:/Windows/System32/bit4xpki.dll`}},
		{"Bit4id (Oberthur, IDEMIA)", []string{`C:/Windows/System32/bit4opki.dll`}},
		{"Bit4id (Incard)", []string{`C:/Windows/System32/bit4ipki.dll`}},
		{"CIE", []string{`C:/Program Files/Software CIE/cie-pkcs11.dll`, `C:/Windows/System32/cie-pkcs11.dll`, `C:/Windows/System32/CIEPKI.dll`}},
		{"Athena", []string{`C:/Windows/System32/asepkcs.dll`}},
		{"IDEMIA AWP", []string{`C:/Windows/System32/OCSCryptoki.dll`}},
		{"IDEMIA IDPlug", []string{`C:/Program Files/IDEMIA/IDPlugClassic/DLLs/idplug-pkcs11.dll`}},
		{"Idopte", []string{`C:/Program Files/Smart Card Middleware/bin/idoPKCS.dll`}},
		{"Siemens", []string{`C:/Windows/System32/siecap11.dll`, `C:/Windows/System32/cnsPKCS11.dll`}},
		{"Incard", []string{`C:/Windows/System32/incryptoki2.dll`}},
		{"SafeNet", []string{`C:/Windows/System32/eTPKCS11.dll`}},
	},
	"darwin": {
		{"OpenSC", []string{"/Library/OpenSC/lib/opensc-pkcs11.so"}},
		{"Bit4id", []string{"/Library/bit4id/pkcs11/libbit4xpki.dylib", "/System/Library/Bit4id/pkcs11/libbit4xpki.dylib"}},
		{"CIE", []string{"/Library/ipzs/libcie-pkcs11.dylib", "/usr/local/lib/libcie-pkcs11.dylib"}},
		{"IDEMIA AWP", []string{"/Library/AWP/lib/libOcsCryptoki.dylib"}},
		{"Idopte", []string{"/Library/SCMiddleware/libidop11.dylib"}},
	},
}

// installedModules are those of the table that are there, one file for each maker.
func installedModules(table []family, stat func(string) (fs.FileInfo, error)) []worker.Module {
	var list []worker.Module
	for _, f := range table {
		for _, p := range f.paths {
			if _, err := stat(p); err == nil {
				list = append(list, worker.Module{Name: f.name, Path: p})
				break
			}
		}
	}
	return list
}
