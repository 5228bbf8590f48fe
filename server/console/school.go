package console

var schoolModule = menuModule{Title: "console.m-school"}
