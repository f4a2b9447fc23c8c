// Package broker runs the NATS server that all processes meet in, and looks at one that others run.
//
// [Start] runs a server in this process: from a few fields ([Config]) for development and tests, or from a file ([ReadConfig]), the
// same one that a stock nats-server reads. Both fsync before they acknowledge (sync_interval: always), both keep their streams in the
// account WHALESHARK, so that either finds what the other has stored, and both let that account ask what the server is.
//
// [Look] asks any server what it is: its version, and whether it fsyncs before it acknowledges. What an acknowledgement to a client
// proves stands on the latter, so a server that cannot be seen to do it is worth a warning. [Health] asks for the server's own
// verdict of itself, for a server whose disk has filled up accepts connections as before.
package broker
