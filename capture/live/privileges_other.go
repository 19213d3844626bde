//go:build !unix

package live

import "fmt"

// Account is a user that the process has become.
type Account struct {
	Name, Home string
	UID, GID   int
}

// DropRoot does nothing: this system has no root.
func DropRoot(name, _, _ string) (*Account, error) {
	if name != "" {
		return nil, fmt.Errorf("this system cannot become user %s", name)
	}
	return nil, nil
}
