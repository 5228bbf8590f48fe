module github.com/citel-pa/citel/testdata/wycheproof

go 1.26.4

replace github.com/citel-pa/citel => ../..

require (
	github.com/c2sp/wycheproof v0.0.0-20260902155932-3fa63dd0344a
	github.com/citel-pa/citel v0.0.0-00010101000000-000000000000
)

require (
	go.mozilla.org/pkcs7 v0.10.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
