// Package suggest finds what a misspelt word may have meant.
package suggest

import (
	"fmt"
	"strings"
)

// DidYouMean returns "; did you mean X?" for the candidate nearest to word, or
// nothing where none is near.
func DidYouMean(word string, candidates []string) string {
	if s := Nearest(word, candidates); s != "" {
		return fmt.Sprintf("; did you mean %s?", s)
	}
	return ""
}

// Nearest returns the candidate that the fewest edits make of word, the first
// of equals: at most a third of word's letters, and at least one. A candidate
// that word begins wins if it alone does.
func Nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	best, limit := "", max(1, len(word)/3)+1
	var begun []string
	for _, c := range candidates {
		lower := strings.ToLower(c)
		if len(word) >= 3 && strings.HasPrefix(lower, word) {
			begun = append(begun, c)
		}
		if d := edits(word, lower); d < limit {
			best, limit = c, d
		}
	}
	if best == "" && len(begun) == 1 {
		return begun[0]
	}
	return best
}

// edits returns how many bytes to insert, delete or replace, or neighbours to
// swap, make b of a.
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
