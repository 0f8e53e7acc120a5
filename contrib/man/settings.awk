# settings.awk - the settings of reeld.conf(5), as mdoc, from the output of
# `reeld print-config sample`; put in place of the line @SETTINGS@ of the page.
#
#   reeld print-config sample | awk -f settings.awk - reeld.conf.5.in

# One sentence a line, none longer than a line of the page's source.
function text(s,    words, n, i, line) {
	gsub(/\\/, "\\e", s)
	n = split(s, words, / +/)
	line = ""
	for (i = 1; i <= n; i++) {
		if (length(line) + length(words[i]) > 70) {
			out(line)
			line = ""
		}
		line = line (line == "" ? "" : " ") words[i]
		if (words[i] ~ /[a-z)][.]$/) {
			out(line)
			line = ""
		}
	}
	out(line)
}
function out(line) {
	if (line != "")
		list = list (line ~ /^[.']/ ? "\\&" : "") line "\n"
}

FNR == 1 { file++ }
file == 1 && /^# For each provider/ { next }
file == 1 && /^# / { help = help (help == "" ? "" : " ") substr($0, 3) }
file == 1 && /^$/ { help = "" }
file == 1 && /^#[a-z]/ {
	key = substr($1, 2)
	value = $0
	sub(/^[^=]*= */, "", value)
	gsub(/"/, "", value)
	if (key ~ /^provider[.]/) {
		split(key, part, "[.]")
		key = "provider.NAME." part[3]
	}
	if (!(key in seen)) {
		list = list ".It Va " key "\n"
		text(help)
		if (value != "")
			list = list "The default is\n.Ql " value " .\n"
		seen[key] = 1
	}
	help = ""
}
file == 2 && /^@SETTINGS@$/ { printf "%s", list; next }
file == 2
