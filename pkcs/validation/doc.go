// Package validation turns facts about a signature into a verdict, after ETSI EN
// 319 102-1: facts (collected elsewhere, nothing judged) -> policy (a table of
// checks, pure functions over facts, no input or output) -> report (one result
// for the person, the auditor and the machine).
package validation
