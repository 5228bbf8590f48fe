package doctor

import (
	"context"
	"strconv"
	"time"
)

// Clock is what the computer's time is compared with. Fields that are zero are not.
type Clock struct {
	Now func() time.Time
	// Built is when this program was made: the time cannot be earlier.
	Built time.Time
	// Server gives the time of a site that the person trusts, and ours when it came;
	// the error says nothing about the clock.
	Server func(ctx context.Context) (server, local time.Time, err error)
	// Synced tells whether the system takes its time from the network; known is false
	// where it does not say.
	Synced func(ctx context.Context) (synced, known bool)
}

// Times.
const (
	// clockSlack is how wrong a clock may be: servers allow a few minutes.
	clockSlack = 2 * time.Minute
	serverTime = 4 * time.Second
)

func (p *Patient) now() time.Time {
	if p.Clock.Now != nil {
		return p.Clock.Now()
	}
	return time.Now()
}

func (p *Patient) clock(ctx context.Context) []Check {
	ctx, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	synced, known := false, false
	if p.Clock.Synced != nil {
		synced, known = p.Clock.Synced(ctx)
	}
	var cures []string
	if known && !synced {
		cures = []string{CureSetTime}
	}
	now := p.now()
	if !p.Clock.Built.IsZero() && now.Before(p.Clock.Built.Add(-24*time.Hour)) {
		return []Check{{ID: "clock-early", State: Bad, Cures: cures, Args: map[string]string{"date": now.Format("02/01/2006")}}}
	}
	if p.Clock.Server != nil {
		if server, local, err := p.Clock.Server(ctx); err == nil {
			switch off := local.Sub(server); {
			case off > clockSlack, off < -clockSlack:
				return []Check{{ID: "clock-off", State: Bad, Cures: cures, Args: map[string]string{"n": strconv.Itoa(int(off.Abs().Minutes()))}}}
			default:
				return []Check{{ID: "clock-server", State: Good}}
			}
		}
	}
	if known && !synced {
		return []Check{{ID: "clock-unsynced", State: Note, Cures: cures}}
	}
	return []Check{{ID: "clock", State: Good, Args: map[string]string{"date": now.Format("02/01/2006 15:04")}}}
}
