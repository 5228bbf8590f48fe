package console

var portalModule = menuModule{Title: "console.m-portal"}
