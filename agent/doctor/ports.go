package doctor

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// Owner is whose a port is.
type Owner struct {
	// Program is the listener's name, empty where the system does not say.
	Program string
	// Agent: it is our own user's citel-agent. Other: another user's program.
	Agent, Other bool
}

// ports tells whether an agent could listen, or one does already, and who is in the
// way.
func (p *Patient) ports(ctx context.Context) []Check {
	if len(p.Ports) == 0 {
		return nil
	}
	var list []Check
	var free, taken, mine []string
	for _, port := range p.Ports {
		name := strconv.Itoa(port)
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", name))
		if err == nil {
			free = append(free, name)
			_ = l.Close()
			continue
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		var o Owner
		if p.Owner != nil {
			o = p.Owner(port)
		}
		c := Check{ID: "port-taken", State: Note, Args: map[string]string{"port": name, "program": o.Program}}
		switch {
		case o.Agent:
			mine = append(mine, name)
			continue
		case o.Other:
			c.ID = "port-other-user"
		case o.Program == "":
			c.ID = "port-unknown"
		}
		taken = append(taken, name)
		list = append(list, c)
	}
	args := map[string]string{"free": strings.Join(free, ", "), "taken": strings.Join(taken, ", "), "port": strings.Join(mine, ", ")}
	c := Check{ID: "ports", State: Good, Args: args}
	switch {
	case len(mine) > 0:
		c.ID = "agent"
	case len(free) == 0:
		c.State = Bad
	}
	return append([]Check{c}, list...)
}
