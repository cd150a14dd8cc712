# terraform_data needs no provider and no account; put your own resources in its place.
variable "cidr" {
  type    = string
  default = "10.0.0.0/16"
}

resource "terraform_data" "network" {
  input = var.cidr
}

output "subnets" {
  value = [for i in range(2) : cidrsubnet(terraform_data.network.output, 8, i)]
}
