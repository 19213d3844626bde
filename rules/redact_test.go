package rules

import "testing"

// Credentials before a host are hidden in every form of target, and in Host.
func TestRedactUserinfo(t *testing.T) {
	for in, want := range map[string]string{
		"http://u:p@h/x@y?q": "http://***@h/x@y?***", "u:p@h:443": "***@h:443", "h:443": "h:443", "//u:p@h/x": "//***@h/x",
		"/a/u@h": "/a/u@h", "*": "*", "": "", "http://a@b@c": "http://***@c", "/redirect?to=http://u:p@h": "/redirect?to=***",
	} {
		if got := RedactDefault.Target(in); got != want {
			t.Errorf("Target(%q) = %q, want %q", in, got, want)
		}
	}
	if got := RedactDefault.Host("u:p@h:80"); got != "***@h:80" {
		t.Errorf("Host: %q", got)
	}
	if got := RedactNone.Host("u:p@h"); got != "u:p@h" {
		t.Errorf("nothing is to be hidden: %q", got)
	}
}
