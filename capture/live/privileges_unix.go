//go:build unix

package live

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"syscall"
)

// Account is a user that the process has become.
type Account struct {
	Name, Home string
	UID, GID   int
}

// DropRoot makes a process of root's that of the named user, of whoever called
// sudo (the values of SUDO_UID and SUDO_GID) if name is empty, for good. It
// returns nil if there is nothing to drop: the process is not root's and no
// user was named, or root was, or nobody called sudo.
func DropRoot(name, sudoUID, sudoGID string) (*Account, error) {
	if syscall.Geteuid() != 0 {
		if name != "" {
			return nil, fmt.Errorf("only root can become user %s", name)
		}
		return nil, nil
	}
	var u *user.User
	var err error
	switch {
	case name != "":
		if u, err = user.Lookup(name); err != nil {
			return nil, fmt.Errorf("no user %s", name)
		}
	case sudoUID == "":
		return nil, nil
	default:
		if u, err = user.LookupId(sudoUID); err != nil {
			u = &user.User{Uid: sudoUID, Gid: sudoGID, Username: sudoUID} // without an entry
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	if uid == 0 {
		return nil, nil
	}
	groups := []int{gid}
	if ids, err := u.GroupIds(); err == nil {
		groups = groups[:0]
		for _, id := range ids {
			if n, err := strconv.Atoi(id); err == nil {
				groups = append(groups, n)
			}
		}
	}
	if err := syscall.Setgroups(groups); err != nil {
		return nil, fmt.Errorf("cannot become user %s: %w", u.Username, err)
	}
	if err := syscall.Setgid(gid); err != nil {
		return nil, fmt.Errorf("cannot become user %s: %w", u.Username, err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return nil, fmt.Errorf("cannot become user %s: %w", u.Username, err)
	}
	return &Account{Name: u.Username, Home: u.HomeDir, UID: uid, GID: gid}, nil
}
