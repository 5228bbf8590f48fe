// Package pages is what the hand's pages show, as it goes from the agent to its
// window: shapes, no behaviour. Texts are in the person's language already.
package pages

// Names of pages.
const (
	Home     = "home"
	History  = "history"
	Card     = "card"
	Settings = "settings"
	Doctor   = "doctor"
)

// All pages, in their order.
var All = []string{Home, History, Card, Settings, Doctor}

// Names of what a page can ask to be done, with their arguments.
const (
	DoHistoryExport = "history-export" // format: csv, json
	DoHistoryClear  = "history-clear"
	DoPINChange     = "pin-change"    // card
	DoPINUnblock    = "pin-unblock"   // card
	DoSite          = "site"          // origin, decision: forget, block
	DoLanguage      = "language"      // language: "", it, en
	DoAutostart     = "autostart"     // on: true, false
	DoModuleAdd     = "module-add"    // path, name
	DoModuleRemove  = "module-remove" // path
	DoCure          = "cure"          // cure: its ID
	DoUndo          = "undo"          // cure: its ID
	DoReport        = "report"
	DoQuit          = "quit"
)

// Done is the answer to something done: a sentence, and a text to show or keep.
type Done struct {
	Text string `json:"text"`
	// Report is the doctor's, to be read and copied.
	Report string `json:"report,omitempty"`
}

// HomeData is the first page.
type HomeData struct {
	// State is one sentence about service, readers and card; Good: a card can be used.
	State   string   `json:"state"`
	Good    bool     `json:"good"`
	Readers []string `json:"readers"`
	// Alerts are what the person should know: a certificate that ends, a broken history.
	Alerts []string `json:"alerts"`
	Last   []Use    `json:"last"`
	About  string   `json:"about"` // version and address
}

// Use is a line of the history.
type Use struct {
	When    string   `json:"when"`
	What    string   `json:"what"`
	Who     string   `json:"who"`
	Card    string   `json:"card"`
	Digests []string `json:"digests"`
	Outcome string   `json:"outcome"`
	Good    bool     `json:"good"`
	// Gap: something is missing or was changed before this line.
	Gap bool `json:"gap"`
}

// HistoryData is the page of recent uses, newest first.
type HistoryData struct {
	Uses   []Use `json:"uses"`
	Total  int   `json:"total"`
	Broken bool  `json:"broken"`
	GapEnd bool  `json:"gapEnd"`
	// Dropped is how many older ones made room.
	Dropped int `json:"dropped"`
}

// CardData is the page about the cards in the readers.
type CardData struct {
	Cards []CardInfo `json:"cards"`
	// None says why there is no card.
	None string `json:"none"`
}

// CardInfo is one card's PIN and certificate.
type CardInfo struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Rows  []Row  `json:"rows"`
	// Expiry is said when the certificate ends soon or has ended; Ended: it has.
	Expiry string `json:"expiry"`
	Ended  bool   `json:"ended"`
	Tries  string `json:"tries"`
	Locked bool   `json:"locked"`
	// Note is said where the PIN cannot be changed here.
	Note string `json:"note"`
	Care bool   `json:"care"`
}

// Row is a name and a value.
type Row struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// SettingsData is the page of the settings.
type SettingsData struct {
	Language       string   `json:"language"`
	LanguageLocked bool     `json:"languageLocked"`
	Autostart      bool     `json:"autostart"`
	AutostartFixed bool     `json:"autostartFixed"` // locked
	AutostartNone  bool     `json:"autostartNone"`  // not on this system
	Trusted        []Site   `json:"trusted"`
	Blocked        []Site   `json:"blocked"`
	Modules        []Module `json:"modules"`
	ModulesLocked  bool     `json:"modulesLocked"`
	// Known are modules that are found and used where the settings name none.
	Known  []string `json:"known"`
	Policy string   `json:"policy"` // the administrator's file, where it locks something
}

// Site is one that the person, or the administrator, decided about.
type Site struct {
	Origin string `json:"origin"`
	Since  string `json:"since"`
	Locked bool   `json:"locked"`
}

// Module is a PKCS#11 module and how its check went.
type Module struct {
	Path  string `json:"path"`
	Name  string `json:"name"`
	State string `json:"state"`
	Good  bool   `json:"good"`
}

// DoctorData is the doctor's page.
type DoctorData struct {
	Lines []Line `json:"lines"`
	Bad   int    `json:"bad"`
	// Undo are cures that can be taken back.
	Undo []Cure `json:"undo"`
}

// Line is one finding. State: good, bad, note.
type Line struct {
	State string `json:"state"`
	Word  string `json:"word"`
	Text  string `json:"text"`
	Cures []Cure `json:"cures"`
}

// Cure is something that can be done, and what it changes.
type Cure struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Changes string `json:"changes"`
}
