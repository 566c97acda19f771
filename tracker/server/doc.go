// Package server is the tracker's HTTP interface: the generated strict server of
// api/trackerapi over a table.Table, its metrics, and the wiring of the daemon (Run).
//
// It decides nothing about files and peers: that is the table's. What an error of the table
// means in HTTP is said in statusOf and nowhere else.
package server
