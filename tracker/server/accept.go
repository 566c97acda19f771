package server

import (
	"mime"
	"strconv"
	"strings"

	"fanout/internal/chunks/trackerfile"
)

// prefersTrackerFile reports whether an Accept header (RFC 9110, section 12.5.1) asks for the
// tracker file rather than JSON. Asked for equally, the one that is named wins over the one
// that a wildcard covers, and JSON wins else.
func prefersTrackerFile(accept string) bool {
	tsvQuality, tsvExact := quality(accept, trackerfile.MediaType)
	jsonQuality, jsonExact := quality(accept, "application/json")
	if tsvQuality != jsonQuality {
		return tsvQuality > jsonQuality
	}
	return tsvQuality > 0 && tsvExact > jsonExact
}

// quality is the weight of a media type by the range that names it most exactly, and how
// exactly: 3 by name, 2 by type/*, 1 by */*, 0 not at all.
func quality(accept, mediaType string) (q float64, exact int) {
	major, _, _ := strings.Cut(mediaType, "/")
	exactness := map[string]int{mediaType: 3, major + "/*": 2, "*/*": 1}
	for part := range strings.SplitSeq(accept, ",") {
		name, params, err := mime.ParseMediaType(part)
		if err != nil || exactness[name] <= exact {
			continue
		}
		exact, q = exactness[name], 1
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				q = 0
			}
		}
	}
	return q, exact
}
