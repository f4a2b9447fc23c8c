module github.com/whaleshark-im/whaleshark

go 1.26
