package main

import (
	"context"
	"errors"
)

func (o *options) packWindows(context.Context) error { return errors.New("not yet") }
