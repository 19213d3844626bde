# Writes Markdown tables from a log of peers.sh: of connlint beside the goals,
# of CPU seconds by peer, and of growth. Used by run, next to this file.

function median(key, col,    n, i, j, t, a) {
	n = count[key]
	for (i = 1; i <= n; i++) a[i] = v[key, i, col]
	for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j-1] > a[j]; j--) { t = a[j]; a[j] = a[j-1]; a[j-1] = t }
	return n % 2 ? a[(n+1)/2] : (a[n/2] + a[n/2+1]) / 2
}

function met(ok) { return ok ? "met" : "**not met**" }

# at_most writes a figure beside the most that it may be.
function at_most(value, format, goal, unit) {
	return sprintf(format " (≤ %s%s: %s)", value, goal, unit, met(value <= goal))
}

function row(name, cells,    i, s) {
	s = "| " name " |"
	for (i = 1; i <= n; i++) s = s " " cells[i] " |"
	print s
}

function heading(first,    i, s, t) {
	s = "| " first " |"; t = "| --- |"
	for (i = 1; i <= n; i++) { s = s " " p[i] " |"; t = t " --- |" }
	print s; print t
}

BEGIN {
	n = split(profiles, p, " ")
	split("bulk web api churn messy million", names, " ")
	split("2 2.5 7 10 3.5 25", g, " ");           for (i in names) raw_goal[names[i]] = g[i]
	split("2 3 3 5 3 -", g, " ");                 for (i in names) peer_goal[names[i]] = g[i]
	split("0.7 0.7 0.65 0.65 0.7 0.65", g, " ");  for (i in names) wall_goal[names[i]] = g[i]
	split("64 64 64 128 96 1024", g, " ");        for (i in names) memory_goal[names[i]] = g[i]
	# Those that reassemble and parse HTTP.
	http = "^(gopacket-http|suricata-1|suricata-mt|zeek|tshark-http|tshark-fields|tshark-2pass)$"
}

FILENAME ~ /exact$/ { truth[$1] = $2; answers[$1] = $3; requests[$1] = $4; responses[$1] = $5; next }
$2 == "packets" { packets[$1] = $3; grew[++sizes] = $1; next }
{
	file = $1
	if (FILENAME !~ /growth$/) sub(/-[0-9]+\.pcap$/, "", file)
	key = file SUBSEP $2
	i = ++count[key]
	v[key, i, "wall"] = $3; v[key, i, "cpu"] = $4 + $5; v[key, i, "memory"] = $6 / 1024
	if ($7 != "0") bad[key] = $7
	if (!($2 in seen)) { seen[$2] = 1; order[++peers] = $2 }
}

END {
	for (i = 1; i <= n; i++) {
		me = p[i] SUBSEP "TOOL"
		if (!(me in count)) {
			raw[i] = faster[i] = wall[i] = memory[i] = exact[i] = "not measured"
			continue
		}
		cpu = median(me, "cpu")
		raw[i] = at_most(cpu / max(median(p[i] SUBSEP "raw-read", "cpu"), 0.001), "%.1f", raw_goal[p[i]], "")
		wall[i] = at_most(median(me, "wall") / max(cpu, 0.001), "%.2f", wall_goal[p[i]], "")
		memory[i] = at_most(median(me, "memory"), "%.0f MiB", memory_goal[p[i]], " MiB")
		best = ""; tried = 0
		for (j = 1; j <= peers; j++) {
			k = p[i] SUBSEP order[j]
			if (order[j] !~ http || !(k in count)) continue
			tried = 1
			if (!(k in bad) && (best == "" || median(k, "cpu") < median(p[i] SUBSEP best, "cpu"))) best = order[j]
		}
		ratio = best == "" ? 0 : median(p[i] SUBSEP best, "cpu") / max(cpu, 0.001)
		if (!tried) faster[i] = "none ran"
		else if (p[i] == "million") faster[i] = best == "" ? "only one to finish: met" : sprintf("%.1f× %s (only one to finish: **not met**)", ratio, best)
		else if (best == "") faster[i] = "no other finished: met"
		else faster[i] = sprintf("%.1f× %s (≥ %s×: %s)", ratio, best, peer_goal[p[i]], met(ratio >= peer_goal[p[i]]))
		exact[i] = sprintf("%d and %d of %d and %d", requests[p[i]], responses[p[i]], truth[p[i]], answers[p[i]])
		if (me in bad) exact[i] = exact[i] ", **exit " bad[me] "**"
	}
	heading("connlint check")
	row("CPU, as a multiple of the raw read", raw)
	row("less CPU than the quickest peer that reassembles and parses HTTP", faster)
	row("wall ÷ CPU", wall)
	row("peak memory", memory)
	row("requests and responses found of those there", exact)

	print ""
	heading("CPU seconds")
	for (j = 0; j <= peers; j++) {
		name = j ? order[j] : "TOOL"
		if (j && name == "TOOL") continue
		some = 0
		for (i = 1; i <= n; i++) {
			k = p[i] SUBSEP name
			cells[i] = "–"
			if (!(k in count)) continue
			some = 1
			cells[i] = sprintf("%.3f", median(k, "cpu"))
			if (!(k in bad)) continue
			if (bad[k] == "timeout") cells[i] = "over the time limit"
			else cells[i] = sprintf("failed at %.0f MiB", median(k, "memory"))
		}
		if (some) row(j ? name : "**connlint check**", cells)
	}

	small = grew[1]; large = grew[2]
	if (sizes == 2 && (small SUBSEP "TOOL") in count && (large SUBSEP "TOOL") in count) {
		time = (median(large SUBSEP "TOOL", "cpu") / packets[large]) / (median(small SUBSEP "TOOL", "cpu") / packets[small])
		room = median(large SUBSEP "TOOL", "memory") / median(small SUBSEP "TOOL", "memory")
		printf "\nGrowth, %d to %d packets: CPU per packet %s, peak memory %s.\n", packets[small], packets[large],
			at_most(time, "× %.2f", 1.1, ""), at_most(room, "× %.2f", 1.1, "")
	}
}

function max(a, b) { return a > b ? a : b }
