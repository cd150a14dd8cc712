variable "region" {
  type = string
}

variable "vpc_id" {
  type = string
}

resource "terraform_data" "subnet" {
  for_each = toset(["a", "b"])
  input    = { vpc = var.vpc_id, zone = "${var.region}-${each.key}" }
}

output "ids" {
  value = [for zone, subnet in terraform_data.subnet : "subnet-${substr(subnet.id, 0, 8)}"]
}
