variable "region" {
  type = string
}

resource "terraform_data" "vpc" {
  input = { region = var.region, cidr = "10.0.0.0/16" }
}

output "id" {
  value = "vpc-${substr(terraform_data.vpc.id, 0, 8)}"
}
