package console

var registryModule = menuModule{Title: "console.m-registry"}
