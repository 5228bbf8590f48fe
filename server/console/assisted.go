package console

var assistedModule = menuModule{Title: "console.m-assisted"}
