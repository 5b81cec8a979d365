module github.com/shunt-mq/shunt/sdk/go

go 1.24
