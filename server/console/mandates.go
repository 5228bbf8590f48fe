package console

var mandateModule = menuModule{Title: "console.m-mandates"}
