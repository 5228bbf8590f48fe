package console

var routingModule = menuModule{Title: "console.m-routing"}
