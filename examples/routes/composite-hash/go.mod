module example.com/composite-hash

go 1.24

require github.com/shunt-mq/shunt/sdk/go v0.0.0

replace github.com/shunt-mq/shunt/sdk/go => ../../../sdk/go
