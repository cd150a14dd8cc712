# terraform_data is built into OpenTofu: it behaves like a real resource and needs no cloud account.
variable "cidr" {
  type    = string
  default = "10.20.0.0/16"
}

variable "zones" {
  type    = list(string)
  default = ["a", "b"]
}

resource "terraform_data" "vpc" {
  input = { name = "shop", cidr = var.cidr }
}

resource "terraform_data" "subnet" {
  for_each = toset(var.zones)
  input = {
    vpc  = terraform_data.vpc.id
    zone = each.key
    cidr = cidrsubnet(var.cidr, 8, index(var.zones, each.key))
  }
}

output "vpc_id" {
  value = "vpc-${substr(terraform_data.vpc.id, 0, 8)}"
}

output "private_subnet_ids" {
  value = [for zone in var.zones : "subnet-${substr(terraform_data.subnet[zone].id, 0, 8)}"]
}
