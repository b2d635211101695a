module wayfare.dev/lab/node

go 1.24.0
