package example

import (
	"net/http/httptest"
	"testing"
)

func ask(t *testing.T, drain bool) {
	srv := httptest.NewServer(Handler())
	defer srv.Close()
	defer srv.Client().CloseIdleConnections()
	s := Stock{Client: srv.Client(), URL: srv.URL, Drain: drain}
	for id := range 40 {
		if got, err := s.Has(id); err != nil || got != (id%2 == 0) {
			t.Errorf("article %d: %v, %v", id, got, err)
		}
	}
}

// Both tests pass: what tells them apart is on the wire.

func TestUndrained(t *testing.T) { ask(t, false) }

func TestDrained(t *testing.T) { ask(t, true) }
