package console

var protocolModule = menuModule{Title: "console.m-protocol"}
