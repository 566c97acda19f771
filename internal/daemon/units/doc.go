// Package units reads and prints sizes and rates as people write them, on
// command lines and in requests: "25MB", "1MiB", "100Mbit", "12.5MB/s".
//
// Sizes are bytes. Rates are bytes per second, whatever they were written in.
// MB is 10^6 bytes and MiB is 2^20; upper and lower case mean the same. The
// types implement encoding.TextUnmarshaler, which is all that the package
// knows of flags.
package units
