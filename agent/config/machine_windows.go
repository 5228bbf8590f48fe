package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/windows/registry"
)

// policyKey is where group policies write, for administrators alone.
const policyKey = `SOFTWARE\Policies\CiTel`

// machinePolicy is the registry's policy in the file's form: values Language, Updates
// (text) and Autostart (number), keys TrustedSites, BlockedSites and Modules with texts
// named 1, 2, 3, ... Nil without the key.
func machinePolicy() ([]byte, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, policyKey, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if errors.Is(err, registry.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", policyKey, err)
	}
	defer func() { _ = k.Close() }()
	var p Policy
	for name, into := range map[string]**string{"Language": &p.Language, "Updates": &p.Updates} {
		if v, _, err := k.GetStringValue(name); err == nil {
			*into = &v
		}
	}
	if v, _, err := k.GetIntegerValue("Autostart"); err == nil {
		on := v != 0
		p.Autostart = &on
	}
	if p.TrustedSites, err = textList("TrustedSites"); err != nil {
		return nil, err
	}
	if p.BlockedSites, err = textList("BlockedSites"); err != nil {
		return nil, err
	}
	paths, err := textList("Modules")
	if err != nil {
		return nil, err
	}
	if paths != nil {
		list := make([]Module, len(paths))
		for i, path := range paths {
			list[i].Path = path
		}
		p.Modules = &list
	}
	return json.Marshal(p)
}

func textList(name string) ([]string, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, policyKey+`\`+name, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if errors.Is(err, registry.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", name, err)
	}
	defer func() { _ = k.Close() }()
	names, err := k.ReadValueNames(-1)
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", name, err)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return x - y
	})
	list := []string{}
	for _, n := range names {
		if v, _, err := k.GetStringValue(n); err == nil {
			list = append(list, v)
		}
	}
	return list, nil
}
