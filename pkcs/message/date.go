package message

import "time"

// Date writes a day as the language's readers do: 26/11/2026, 26 November 2026. The month
// is a word in English, where numbers would be read in two orders.
func (l Lang) Date(t time.Time) string {
	if l == English {
		return t.Format("2 January 2006")
	}
	return t.Format("02/01/2006")
}

// Minute is the day with hour and minute.
func (l Lang) Minute(t time.Time) string { return l.at(t, "15:04") }

// Moment is the day with the time to the second, as registers have it.
func (l Lang) Moment(t time.Time) string { return l.at(t, "15:04:05") }

func (l Lang) at(t time.Time, layout string) string {
	between := " "
	if l == English {
		between = ", "
	}
	return l.Date(t) + between + t.Format(layout)
}

// Day is Date for a day as it is stored ("2006-01-02"); what is none is given back.
func (l Lang) Day(s string) string {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return s
	}
	return l.Date(t)
}
