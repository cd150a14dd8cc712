# One stack, without a workflow file:  windlass deploy ./examples/hello --var name=you
variable "name" {
  type    = string
  default = "world"
}

resource "terraform_data" "greeting" {
  input = "Hello, ${var.name}!"
}

output "greeting" {
  value = terraform_data.greeting.output
}
