package role

import (
	"slices"
	"testing"
)

// The list is the first system's; what each role may do is pinned here a second time,
// for those that the issue spells out.
func TestTable(t *testing.T) {
	if len(list) != 37 {
		t.Errorf("%d roles, not 37", len(list))
	}
	for id, want := range map[string][]Permission{
		"R14":    {EnvelopesHandOut, EnvelopesRead},
		"R7":     {EnvelopesHandOut, EnvelopesRead, RoutingRead, RoutingWrite, UsersRead},
		"R-CAF1": {AssistedFile},
		"R-PAAS": {AssistedFile},
		"R-POL1": {RegistryRead},
		"R30":    {StaffUse},
		"R6": {ExternalUse, InfrastructureRead, InfrastructureWrite, OperatorsLog, OperatorsRead, OperatorsReset, OperatorsState, OperatorsWrite,
			PortalUse, RolesAssign, RolesRead},
	} {
		if got := Get(id).Permissions; !slices.Equal(got, want) {
			t.Errorf("%s: %v", id, got)
		}
	}
	r9 := append(slices.Clone(Get("R6").Permissions), Get("R7").Permissions...)
	slices.Sort(r9)
	if !slices.Equal(Get("R9").Permissions, r9) {
		t.Errorf("R9 is not R6 and R7: %v", Get("R9").Permissions)
	}
	for _, p := range Get("R7").Permissions {
		if !Get("R8").Has(p) {
			t.Errorf("R8 lacks R7's %s", p)
		}
	}
	if Get("R27").Has(SMSSend) == Get("R27.1").Has(SMSSend) || !Get("R25").Has(SMSSend) {
		t.Error("SMS in R27, R27.1, R25")
	}
	for _, p := range []Permission{RoutingRead, UsersRead, EnvelopesRead, RegistryRead} {
		if Get("R6").Has(p) {
			t.Errorf("an administrator reads citizens' files: %s", p)
		}
	}
}

// Rights hold in the own ente, for everybody and for each right.
func TestCan(t *testing.T) {
	var ids []string
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	everything := Actor{Operator: 1, Ente: "a", Roles: ids}
	system := Actor{Operator: 2, Roles: ids}
	for _, p := range append(slices.Clone(All), SystemEnti) {
		named := slices.ContainsFunc(list, func(r *Role) bool { return r.Has(p) })
		if Can(everything, "a", p) != named {
			t.Errorf("%s in the own ente: %v", p, !named)
		}
		for _, ente := range []string{"b", ""} {
			if Can(everything, ente, p) {
				t.Errorf("%s in %q", p, ente)
			}
		}
		for _, ente := range []string{"a", ""} {
			if Can(system, ente, p) != (p == SystemEnti) {
				t.Errorf("who runs the server: %s in %q", p, ente)
			}
			if Can(Actor{Ente: ente, Roles: ids}, ente, p) {
				t.Errorf("nobody has %s", p)
			}
		}
	}
	if Can(Actor{Operator: 1, Ente: "a", Roles: []string{"R999"}}, "a", UsersRead) {
		t.Error("an unknown role has a right")
	}
}
