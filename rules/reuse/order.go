package reuse

import "slices"

// order sorts a list that is nearly in order: what began after each other mostly
// ends so, too. Each is moved back to its place, and only if they lie far off all
// are sorted as any list would be.
func order[T any](list []T, compare func(a, b T) int) {
	moves := 8 * len(list)
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) <= 0 {
			continue
		}
		v, k := list[i], i
		for ; k > 0 && compare(list[k-1], v) > 0; k-- {
			list[k] = list[k-1]
		}
		list[k] = v
		if moves -= i - k; moves < 0 {
			slices.SortFunc(list, compare)
			return
		}
	}
}
