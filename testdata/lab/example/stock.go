// Package example is a small client with a fault that its own tests do not
// show, for connlint run: the client asks a server, in a loop, whether things
// are in stock.
package example

import (
	"fmt"
	"io"
	"net/http"
)

// Stock asks a server at a base URL.
type Stock struct {
	Client *http.Client
	URL    string
	// Drain makes it read each response to its end, so that the connection can
	// be used again.
	Drain bool
}

// Has reports whether there is any of an article.
func (s *Stock) Has(article int) (bool, error) {
	resp, err := s.Client.Get(fmt.Sprintf("%s/articles/%d", s.URL, article))
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if s.Drain {
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return false, err
		}
	}
	return resp.StatusCode == http.StatusOK, nil
}

// Handler is the server: even articles are in stock.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /articles/{id}", func(w http.ResponseWriter, r *http.Request) {
		var id int
		if _, err := fmt.Sscan(r.PathValue("id"), &id); err != nil || id%2 != 0 {
			http.NotFound(w, r)
			return
		}
		for range 1000 {
			fmt.Fprintf(w, "article %d is in stock\n", id)
		}
	})
	return mux
}
