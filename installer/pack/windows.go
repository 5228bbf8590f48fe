package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/installer"
)

// packWindows makes the portable archive and the installer of the agent.
func (o *options) packWindows(ctx context.Context) error {
	p := installer.Agent()
	built, err := o.build(ctx, windowsAMD64, p.Programs)
	if err != nil {
		return err
	}
	for name, path := range built {
		if err := o.authenticode(ctx, path); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	licence := filepath.Join(o.work, "LICENSE.txt")
	if err := os.WriteFile(licence, []byte(strings.ReplaceAll(o.release.Licence, "\n", "\r\n")), 0o644); err != nil { //nolint:gosec // for everybody
		return err
	}
	if err := o.portable(p, windowsAMD64, built, []staged{{installer.File{Path: "/copyright"}, licence}}); err != nil {
		return err
	}
	if err := o.materials(p, windowsAMD64, built); err != nil {
		return err
	}
	return o.msi(ctx, p, built, licence)
}

// authenticode signs a program or an installer with the builder's key; without one it
// stays unsigned.
func (o *options) authenticode(ctx context.Context, path string) error {
	if o.signP12 == "" {
		return nil
	}
	signed := path + ".signed"
	// The claimed time is the release's, so that two builds give the same bytes.
	args := []string{"sign", "-pkcs12", o.signP12, "-h", "sha256", "-n", "CiTel", "-i", installer.Homepage,
		"-time", strconv.FormatInt(o.release.Date.Unix(), 10)}
	if o.signPass != "" {
		args = append(args, "-readpass", o.signPass)
	}
	out, err := exec.CommandContext(ctx, "osslsigncode", append(args, "-in", path, "-out", signed)...).CombinedOutput() //nolint:gosec // the builder's
	if err != nil {
		return fmt.Errorf("osslsigncode: %w\n%s", err, out)
	}
	return os.Rename(signed, path)
}

// msi makes the Windows installer with wixl: per machine, replacing what an older one
// installed, with nothing left at its removal.
func (o *options) msi(ctx context.Context, p installer.Package, built map[string]string, licence string) error {
	if _, err := exec.LookPath("wixl"); err != nil {
		return errors.New("wixl is missing: make deps-windows")
	}
	dir := filepath.Join(o.work, "msi")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // not secret
		return err
	}
	files := []string{"LICENSE.txt"}
	sources := map[string]string{"LICENSE.txt": licence}
	for _, x := range p.Programs {
		files = append(files, x.Name+".exe")
		sources[x.Name+".exe"] = built[x.Name]
	}
	for _, name := range files {
		data, err := os.ReadFile(sources[name])
		if err != nil {
			return err
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil { //nolint:gosec // not secret
			return err
		}
		// The cabinet keeps each file's time.
		if err := os.Chtimes(path, o.release.Date, o.release.Date); err != nil {
			return err
		}
	}
	source := filepath.Join(dir, "citel.wxs")
	if err := os.WriteFile(source, []byte(wxs(p, o.release, files)), 0o644); err != nil { //nolint:gosec // not secret
		return err
	}
	path := filepath.Join(o.out, fmt.Sprintf("%s_%s_windows_amd64.msi", p.Name, o.release.Number()))
	cmd := exec.CommandContext(ctx, "wixl", "--arch", "x64", "-o", path, source) //nolint:gosec // ours
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TZ=UTC", "SOURCE_DATE_EPOCH="+strconv.FormatInt(o.release.Date.Unix(), 10))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("wixl: %w\n%s", err, out)
	}
	// wixl passes IncludeMaximum by. Windows Installer, Upgrade Table: what has this very
	// version is replaced too (256 MinInclusive and 512 MaxInclusive, 2 OnlyDetect).
	table := filepath.Join(dir, "Upgrade.idt")
	rows := "UpgradeCode\tVersionMin\tVersionMax\tLanguage\tAttributes\tRemove\tActionProperty\r\n" +
		"s38\tS20\tS20\tS255\ti4\tS255\ts72\r\n" +
		"Upgrade\tUpgradeCode\tVersionMin\tVersionMax\tLanguage\tAttributes\r\n" +
		"{" + installer.UpgradeCode + "}\t" + o.release.WindowsVersion() + "\t\t\t2\t\tNEWERFOUND\r\n" +
		"{" + installer.UpgradeCode + "}\t0.0.0\t" + o.release.WindowsVersion() + "\t\t768\t\tOLDERFOUND\r\n"
	if err := os.WriteFile(table, []byte(rows), 0o644); err != nil { //nolint:gosec // not secret
		return err
	}
	if out, err := exec.CommandContext(ctx, "msibuild", path, "-i", table).CombinedOutput(); err != nil { //nolint:gosec // ours
		return fmt.Errorf("msibuild: %w\n%s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := settle(data, "{"+installer.UUID("package "+o.release.Version)+"}", o.release.Date.Unix()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil { //nolint:gosec // for everybody
		return err
	}
	return o.authenticode(ctx, path)
}

// wxs is the installer's description. WiX 3 schema, as far as wixl reads it.
func wxs(p installer.Package, r installer.Release, files []string) string {
	var b strings.Builder
	text := func(s string) string {
		var x bytes.Buffer
		_ = xml.EscapeText(&x, []byte(s)) // a buffer takes everything
		return x.String()
	}
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="%s" Name="CiTel" Language="1040" Version="%s" Manufacturer="CiTel" UpgradeCode="%s">
    <Package Description="%s" Manufacturer="CiTel" InstallerVersion="500" Languages="1040" InstallScope="perMachine" InstallPrivileges="elevated" Compressed="yes" Platform="x64"/>
    <Media Id="1" Cabinet="citel.cab" EmbedCab="yes"/>
    <Property Id="ARPURLINFOABOUT" Value="%s"/>
    <Property Id="ARPNOMODIFY" Value="1"/>
    <Upgrade Id="%s">
      <UpgradeVersion Minimum="0.0.0" IncludeMinimum="yes" Maximum="%s" IncludeMaximum="yes" Property="OLDERFOUND"/>
      <UpgradeVersion Minimum="%s" IncludeMinimum="no" OnlyDetect="yes" Property="NEWERFOUND"/>
    </Upgrade>
    <Condition Message="Una versione piu' recente di CiTel e' gia' installata. A newer version of CiTel is installed.">NOT NEWERFOUND</Condition>
    <CustomAction Id="RemovePolicies" FileKey="citel_agent.exe" ExeCommand="policy remove --all --quiet" Execute="deferred" Impersonate="no" Return="ignore"/>
    <Directory Id="TARGETDIR" Name="SourceDir">
      <Directory Id="ProgramFiles64Folder">
        <Directory Id="INSTALLDIR" Name="CiTel">
`, installer.UUID("product "+r.Version), r.WindowsVersion(), installer.UpgradeCode, text(p.Summary), text(installer.Homepage),
		installer.UpgradeCode, r.WindowsVersion(), r.WindowsVersion())
	var components []string
	for _, name := range files {
		id := strings.ReplaceAll(name, "-", "_")
		components = append(components, "C_"+id)
		fmt.Fprintf(&b, `          <Component Id="C_%s" Guid="%s" Win64="yes"><File Id="%s" Name="%s" Source="%s" KeyPath="yes"/></Component>
`, id, installer.UUID("component "+name), id, name, name)
	}
	components = append(components, "C_registry")
	fmt.Fprintf(&b, `          <Component Id="C_registry" Guid="%s" Win64="yes">
`, installer.UUID("component registry"))
	for i, v := range installer.WindowsRegistry() {
		name := ""
		if v.Name != "" {
			name = ` Name="` + text(v.Name) + `"`
		}
		key := ""
		if i == 0 {
			key = ` KeyPath="yes"`
		}
		fmt.Fprintf(&b, `            <RegistryValue Root="HKLM" Key="%s"%s Type="string" Value="%s"%s/>
`, text(v.Key), name, text(v.Value), key)
	}
	b.WriteString(`          </Component>
        </Directory>
      </Directory>
    </Directory>
    <Feature Id="Agent" Title="CiTel" Level="1">
`)
	for _, c := range components {
		fmt.Fprintf(&b, "      <ComponentRef Id=\"%s\"/>\n", c)
	}
	b.WriteString(`    </Feature>
    <InstallExecuteSequence>
      <RemoveExistingProducts After="InstallValidate"/>
      <Custom Action="RemovePolicies" Sequence="3450">REMOVE="ALL" AND NOT UPGRADINGPRODUCTCODE</Custom>
    </InstallExecuteSequence>
  </Product>
</Wix>
`)
	return b.String()
}

// Properties of the summary information. [MS-OLEPS] 3.1 Property Set Identifiers;
// Windows Installer, Summary Information Stream Property Set.
const (
	pidRevision, pidCreated, pidSaved = 9, 12, 13
	vtString, vtFiletime              = 0x1e, 0x40
)

// FMTID_SummaryInformation as it lies in a file.
var summaryID = []byte{0xe0, 0x85, 0x9f, 0xf2, 0xf9, 0x4f, 0x68, 0x10, 0xab, 0x91, 0x08, 0x00, 0x2b, 0x27, 0xb3, 0xd9}

// settle writes package code and times into an installer: wixl draws the one at random
// and takes the others from the clock. The stream is short, so that it lies in one
// piece; whatever looks different is an error.
func settle(data []byte, code string, unix int64) error {
	at := bytes.Index(data, summaryID)
	if at < 28 || bytes.Count(data, summaryID) != 1 {
		return errors.New("no summary information, or several")
	}
	start := at - 28 // [MS-OLEPS] 2.21 PropertySetStream: 28 octets before the first FMTID
	if at+20 > len(data) {
		return errors.New("summary information that is cut")
	}
	section := start + int(binary.LittleEndian.Uint32(data[at+16:]))
	if section < at || section+8 > len(data) {
		return errors.New("summary information that is cut")
	}
	size, count := int(binary.LittleEndian.Uint32(data[section:])), int(binary.LittleEndian.Uint32(data[section+4:]))
	if size > 4096 || count > 64 || 8+8*count > size || section+size > len(data) {
		return errors.New("summary information of an unexpected size")
	}
	filetime := uint64(unix+11644473600) * 10_000_000 //nolint:gosec // after 1601
	set := 0
	for i := range count {
		entry := section + 8 + 8*i
		id, value := binary.LittleEndian.Uint32(data[entry:]), section+int(binary.LittleEndian.Uint32(data[entry+4:]))
		if value+8 > section+size {
			return errors.New("a property outside its stream")
		}
		kind := binary.LittleEndian.Uint32(data[value:])
		switch {
		case (id == pidCreated || id == pidSaved) && kind == vtFiletime:
			binary.LittleEndian.PutUint64(data[value+4:], filetime)
			set++
		case id == pidRevision && kind == vtString:
			if n := int(binary.LittleEndian.Uint32(data[value+4:])); n != len(code)+1 {
				return fmt.Errorf("a package code of %d octets", n)
			}
			copy(data[value+8:], code)
			set++
		}
	}
	if set != 3 {
		return fmt.Errorf("%d of 3 properties found", set)
	}
	return nil
}
